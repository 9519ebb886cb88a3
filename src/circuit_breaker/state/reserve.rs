//! Slots that are reserved ahead of their calls, for gate mode.

use crate::circuit_breaker::state::{Machine, State};
use crate::circuit_breaker::ticket::{Refusal, Role, Ticket};
use crate::rng::Rng;
use crate::time::Instant;

impl Machine {
    /// A probe's slot ahead of its call; `None` where calls need no slot.
    ///
    /// It is no probe until its call [begins](Self::begin): nothing hangs in a service that is
    /// ready and has nothing to do.
    pub(in crate::circuit_breaker) fn reserve(
        &mut self,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Option<Ticket>, Refusal> {
        if let Some(refusal) = self.refusal(now, rng) {
            return Err(refusal);
        }
        if !matches!(self.state, State::Open { .. } | State::HalfOpen(_)) {
            return Ok(None);
        }
        let ticket = self.admit(now, rng)?;
        if let (Role::Probe(id), State::HalfOpen(probes)) = (ticket.role, &mut self.state) {
            probes.reserve(id);
        }
        Ok(Some(ticket))
    }

    /// The call begins for which a slot was reserved; `false` if the slot is gone.
    pub(in crate::circuit_breaker) fn begin(
        &mut self,
        now: Instant,
        ticket: Ticket,
        rng: &mut Rng,
    ) -> bool {
        self.pass_time(now, rng);
        match (ticket.role, &mut self.state) {
            (Role::Probe(id), State::HalfOpen(probes)) => {
                ticket.generation == self.generation && probes.begin(id, now)
            }
            _ => false,
        }
    }

    /// Whether a probe or the slot for one is out.
    pub(in crate::circuit_breaker) fn is_out(&self, ticket: Ticket) -> bool {
        match (ticket.role, &self.state) {
            (Role::Probe(id), State::HalfOpen(probes)) => {
                ticket.generation == self.generation && probes.is_out(id)
            }
            _ => false,
        }
    }
}
