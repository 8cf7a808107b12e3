//! How many connections each address has. Without it one client could take the places of all others, by doing nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::gate::{Gate, network_of};

/// Counts connections by address; a network of IPv6 addresses counts as one.
pub(crate) struct Connections {
    gate: Arc<Gate>,
    /// Of one address.
    most: usize,
    /// Programs on this machine are counted too. A proxy here speaks for everybody.
    loopback_too: bool,
    open: Mutex<HashMap<String, usize>>,
}

/// A connection that is counted, for as long as it lives.
pub(crate) struct Counted {
    of: Arc<Connections>,
    who: Option<String>,
}

impl Connections {
    pub(crate) fn new(gate: Arc<Gate>, most: usize, loopback_too: bool) -> Arc<Self> {
        Arc::new(Self { gate, most, loopback_too, open: Mutex::default() })
    }

    /// Counts one more of this address; none where it has as many as it may have.
    pub(crate) fn count(self: &Arc<Self>, peer: SocketAddr) -> Option<Counted> {
        let peer = peer.ip().to_canonical();
        let exempt = self.gate.is_proxy(peer) || peer.is_loopback() && !self.loopback_too;
        if exempt {
            return Some(Counted { of: self.clone(), who: None });
        }
        let who = network_of(Some(peer));
        let mut open = self.open.lock();
        let held = open.entry(who.clone()).or_default();
        if *held >= self.most {
            return None;
        }
        *held += 1;
        Some(Counted { of: self.clone(), who: Some(who) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(who) = &self.who else { return };
        let mut open = self.of.open.lock();
        if let Some(held) = open.get_mut(who) {
            *held -= 1;
            if *held == 0 {
                open.remove(who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gate::GateSettings;

    fn connections(most: usize) -> Arc<Connections> {
        let gate = Gate::new(GateSettings { proxies: vec!["10.0.0.0/8".parse().unwrap()], ..GateSettings::default() });
        Connections::new(Arc::new(gate), most, false)
    }

    #[test]
    fn one_address_has_so_many_connections_and_others_are_not_touched() {
        let counted = connections(2);
        let from = |peer: &str| counted.count(peer.parse().unwrap());
        let (one, two) = (from("192.0.2.1:1"), from("192.0.2.1:2"));
        assert!(one.is_some() && two.is_some() && from("192.0.2.1:3").is_none());
        assert!(from("[::ffff:192.0.2.1]:3").is_none(), "the same address, written in another way");
        assert!(from("192.0.2.2:1").is_some());
        drop(one);
        assert!(from("192.0.2.1:3").is_some(), "a place that is given back");
        drop(two);
        assert!(counted.open.lock().is_empty(), "who has none is forgotten");
        let _held = [from("[2001:db8:1:2::1]:1"), from("[2001:db8:1:2::2]:1")];
        assert!(from("[2001:db8:1:2:ffff::]:1").is_none(), "one household");
        assert!(from("[2001:db8:1:3::1]:1").is_some());
        for exempt in ["127.0.0.1:1", "[::1]:1", "10.1.2.3:1"] {
            let held: Vec<_> = (0..10).map(|_| from(exempt)).collect();
            assert!(held.iter().all(Option::is_some), "{exempt} speaks for others");
        }
    }
}
