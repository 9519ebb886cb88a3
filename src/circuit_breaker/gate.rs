//! Who waits for a circuit to change: services in gate mode, and those whose inner service is not
//! ready while the circuit may open over it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::circuit_breaker::circuit::Circuit;
use crate::circuit_breaker::ticket::Ticket;
use crate::time::{self, Sleep};

/// One service's place among the wakers. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Watch {
    circuit: Arc<Circuit>,
    id: u64,
}

impl Watch {
    pub(super) fn new(circuit: &Arc<Circuit>) -> Self {
        Self { circuit: circuit.clone(), id: circuit.wakers().new_id() }
    }

    /// Wakes this task at the next change. Register first, then look at the state: a change
    /// between the two is then not missed.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.circuit.wakers().register(self.id, cx.waker());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.circuit.wakers().forget(self.id);
    }
}

/// `poll_ready` of a gated circuit: pending while it is open, with a probe's slot reserved while
/// it is half open.
#[derive(Default)]
pub(super) struct Gate {
    watch: Option<Watch>,
    timer: Option<Pin<Box<Sleep>>>,
    reservation: Option<Reservation>,
}

impl Gate {
    pub(super) fn poll_open(&mut self, circuit: &Arc<Circuit>, cx: &mut Context<'_>) -> Poll<()> {
        // A reservation that time has overtaken is worth nothing.
        self.reservation.take_if(|held| !held.is_kept());
        loop {
            if self.reservation.is_some() || circuit.admits_all() {
                return self.pass();
            }
            self.watch.get_or_insert_with(|| Watch::new(circuit)).register(cx);
            match circuit.reserve() {
                Ok(ticket) => {
                    self.reservation = ticket.map(|ticket| Reservation {
                        circuit: circuit.clone(),
                        ticket: Some(ticket),
                    });
                    return self.pass();
                }
                // Forced open: no time will change that, only the operator, who wakes us.
                Err(refusal) => match refusal.retry_after {
                    None => return Poll::Pending,
                    Some(wait) => {
                        // Boxed: only while the circuit is open, and the service stays `Unpin`.
                        let timer = Box::pin(time::sleep_until(time::later(time::now(), wait)));
                        if self.timer.insert(timer).as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                    }
                },
            }
        }
    }

    /// The slot reserved for the coming call, if one was needed.
    pub(super) fn take_reservation(&mut self) -> Option<Ticket> {
        self.reservation.take()?.redeem()
    }

    fn pass(&mut self) -> Poll<()> {
        self.watch = None;
        self.timer = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("reservation", &self.reservation).finish_non_exhaustive()
    }
}

/// A probe's slot, given back on drop unless it is redeemed by a call.
#[derive(Debug)]
struct Reservation {
    circuit: Arc<Circuit>,
    ticket: Option<Ticket>,
}

impl Reservation {
    fn is_kept(&self) -> bool {
        self.ticket.is_some_and(|ticket| self.circuit.keeps(ticket))
    }

    fn redeem(mut self) -> Option<Ticket> {
        self.ticket.take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.circuit.give_back(ticket);
        }
    }
}
