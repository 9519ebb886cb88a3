//! The report as text.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use humantime::format_duration;

use super::parts::label;
use super::{ClientReport, LayerReport, Report, ServerReport, share};

/// Some lines for people. A count that is 0 has none.
impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.outcome(f)?;
        for (name, client) in &self.clients {
            writeln!(f, "\nclients {name:?}")?;
            self.client(client, f)?;
        }
        for (name, server) in &self.servers {
            writeln!(f, "\nserver {name:?}")?;
            self.server(name, server, f)?;
        }
        for layer in &self.layers {
            events(layer, f)?;
        }
        if !self.sometimes.is_empty() {
            writeln!(f, "\nsometimes")?;
        }
        for (name, count) in &self.sometimes {
            writeln!(f, "  {count:>10}  {name:?}")?;
        }
        Ok(())
    }
}

impl Report {
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { seed, trace_hash, events, .. } = self;
        let length = format_duration(self.ran_for);
        writeln!(f, "run       seed {seed:#x}, {length}, {events} events")?;
        writeln!(f, "trace     {trace_hash:#018x}")?;
        for incident in &self.incidents {
            let [from, until] = [incident.from, incident.until].map(format_duration);
            writeln!(f, "incident  {} from {from} to {until}", incident.what)?;
        }
        if self.sound().is_ok() {
            return writeln!(f, "sound     each request ended exactly once, nothing is left over");
        }
        if let Some(violation) = &self.violation {
            writeln!(f, "BROKEN    {violation}")?;
        }
        if !self.is_conserved() {
            writeln!(f, "BROKEN    conservation: a request did not end exactly once")?;
        }
        for (name, client) in self.clients.iter().filter(|(_, client)| client.panicked > 0) {
            writeln!(f, "BROKEN    panic: {} requests of {name:?} panicked", client.panicked)?;
        }
        for (name, left) in &self.leaks {
            writeln!(f, "BROKEN    leak: {name}: {left} left at the end, not 0")?;
        }
        Ok(())
    }

    fn outcome(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [goodput, of_oracle] =
            [self.goodput(), self.goodput_of_oracle()].map(|share| share * 100.0);
        let offered = self.offered();
        writeln!(
            f,
            "goodput   {goodput:.2} % of {offered} requests, {of_oracle:.2} % of what was possible"
        )?;
        let recovered = self.recovered_after();
        match (self.trigger, recovered) {
            (None, Some(Duration::ZERO)) => writeln!(f, "recovery  well throughout"),
            (None, Some(after)) => writeln!(f, "recovery  well from {} s on", after.as_secs_f64()),
            (Some(_), Some(after)) => {
                writeln!(f, "recovery  {} s after the end of the trigger", after.as_secs_f64())
            }
            (_, None) => writeln!(f, "recovery  none by the end of the run"),
        }
    }

    fn client(&self, client: &ClientReport, f: &mut Formatter<'_>) -> fmt::Result {
        let ClientReport { offered, good, late, failed, timed_out, panicked, unfinished, .. } =
            client;
        let refused: u64 = client.refused.values().sum();
        let mut row = |label: &str, count: u64| of_all(f, label, count, *offered);
        row("offered", *offered)?;
        row("good", *good)?;
        row("late", *late)?;
        row("refused", refused)?;
        for (reason, count) in &client.refused {
            row(&format!("  {reason}"), *count)?;
        }
        row("failed", *failed)?;
        row("given up", *timed_out)?;
        row("panicked", *panicked)?;
        row("unfinished", *unfinished)?;
        if client.attempts != client.ended() {
            row("attempts", client.attempts)?;
        }
        if *good == 0 {
            return Ok(());
        }
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let latency = client.latency(share);
            let (ms, times) = (latency.as_secs_f64() * 1e3, self.in_no_loads(latency));
            writeln!(f, "  {name:<24}{ms:>10.1} ms, {times:.1} times that without load")?;
        }
        Ok(())
    }

    fn server(&self, name: &str, server: &ServerReport, f: &mut Formatter<'_>) -> fmt::Result {
        let amplification = self.amplification(name);
        let mut row = |label: &str, count: u64| of_all(f, label, count, server.sent);
        row("attempts sent", server.sent)?;
        row("arrived", server.arrived)?;
        row("lost by the wire", server.cut)?;
        row("refused", server.refused)?;
        row("completed", server.completed)?;
        row("failed", server.failed)?;
        row("reset", server.reset)?;
        row("cancelled", server.cancelled)?;
        row("unheard", server.unheard)?;
        row("unfinished", server.unfinished)?;
        writeln!(f, "  {:<24}{amplification:>10.2} attempts for each request", "amplification")
    }
}

/// One line, unless there is nothing to say.
fn of_all(f: &mut Formatter<'_>, label: &str, count: u64, all: u64) -> fmt::Result {
    match count {
        0 => Ok(()),
        count if count == all => writeln!(f, "  {label:<24}{count:>10}"),
        count => writeln!(f, "  {label:<24}{count:>10}  {:>6.2} %", share(count, all) * 100.0),
    }
}

fn events(layer: &LayerReport, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "\n{} {:?}", layer.layer, layer.name)?;
    for (kind, count) in &layer.counts {
        writeln!(f, "  {:<24}{count:>10}", label(kind))?;
    }
    Ok(())
}
