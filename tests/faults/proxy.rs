//! The way from clients to a node, which can be cut and held while nodes reach each other.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How a way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Open,
    /// Nothing passes, and nobody is told.
    Held,
    /// Connections end, and new ones end at once.
    Cut,
    /// For good.
    Over,
}

/// A port in front of another one.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    way: Arc<Way>,
}

struct Way {
    to: u16,
    standing: Mutex<Standing>,
    changed: Condvar,
}

struct Standing {
    passage: Passage,
    /// Both ends of each connection.
    connections: BTreeMap<u64, [TcpStream; 2]>,
    next: u64,
}

impl Proxy {
    /// Listens on a free port.
    pub(crate) fn before(to: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let standing = Mutex::new(Standing { passage: Passage::Open, connections: BTreeMap::new(), next: 0 });
        let way = Arc::new(Way { to, standing, changed: Condvar::new() });
        let kept = Arc::clone(&way);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let passage = way.lock().passage;
                match passage {
                    Passage::Over => return,
                    Passage::Cut => {}
                    // Whoever cannot be connected sees his connection end.
                    Passage::Open | Passage::Held => drop(way.connect(client)),
                }
            }
        });
        Ok(Self { port, way: kept })
    }

    pub(crate) fn set(&self, passage: Passage) {
        let mut standing = self.way.lock();
        standing.passage = passage;
        if matches!(passage, Passage::Cut | Passage::Over) {
            let ends = std::mem::take(&mut standing.connections).into_values().flatten();
            // The other side may have ended it already.
            ends.for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
        drop(standing);
        self.way.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Passage::Over);
        // Whoever accepts hears of it.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let node = TcpStream::connect(("127.0.0.1", self.to))?;
        client.set_nodelay(true)?;
        node.set_nodelay(true)?;
        let (there, back) = ([client.try_clone()?, node.try_clone()?], [node.try_clone()?, client.try_clone()?]);
        let mut standing = self.lock();
        let number = standing.next;
        standing.next += 1;
        standing.connections.insert(number, [client, node]);
        drop(standing);
        for ends in [there, back] {
            let way = Arc::clone(self);
            thread::spawn(move || way.carry(ends, number));
        }
        Ok(())
    }

    /// Carries what comes from one end to the other, until one of them ends.
    fn carry(&self, [mut from, mut to]: [TcpStream; 2], number: u64) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            if !self.passes() || to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        // The other side may have ended it already.
        [from, to].into_iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        self.lock().connections.remove(&number);
    }

    /// Waits while the way is held. Whether it is open then.
    fn passes(&self) -> bool {
        let mut standing = self.lock();
        while standing.passage == Passage::Held {
            standing = self.changed.wait(standing).unwrap_or_else(PoisonError::into_inner);
        }
        standing.passage == Passage::Open
    }
}
