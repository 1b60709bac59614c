//! A cluster of three brokers on loopback, each a controller too. Nodes are killed, frozen, ended and started again
//! with their data.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::{Metadata, MetadataTopic};
use tempfile::TempDir;

use crate::broker::{await_metadata, await_topic, format, free_ports, guard, jars, java};
use crate::proxy::{Passage, Proxy};

/// How many nodes there are.
pub(crate) const NODES: usize = 3;
/// Memory for objects of a node: three of them share a small machine with all that they are tried with.
const HEAP: &str = "-Xmx256m";
/// How long a question to the cluster may take.
const ASK: Duration = Duration::from_secs(2);

/// A cluster that is whole while no node is down and every partition has all its replicas in sync.
pub(crate) struct Nodes {
    /// Where clients begin.
    pub(crate) bootstrap: String,
    libs: PathBuf,
    folder: TempDir,
    running: [Option<Child>; NODES],
    /// What clients connect to.
    ways: Vec<Proxy>,
    probe: BaseConsumer,
}

impl Nodes {
    /// Makes and starts a cluster that knows nothing.
    pub(crate) fn start() -> Result<Self, String> {
        let libs = jars()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let ports: [u16; 3 * NODES] = free_ports().map_err(|error| error.to_string())?;
        let ways = ports[..NODES].iter().map(|port| Proxy::before(*port)).collect::<std::io::Result<Vec<_>>>();
        let ways = ways.map_err(|error| error.to_string())?;
        let bootstrap = ways.iter().map(|way| format!("127.0.0.1:{}", way.port)).collect::<Vec<_>>().join(",");
        for (node, way) in ways.iter().enumerate() {
            let properties = properties(folder.path(), node);
            fs::write(&properties, settings(folder.path(), node, way.port, &ports))
                .map_err(|error| error.to_string())?;
            format(&libs, &properties)?;
        }
        let probe = client(&bootstrap).create().map_err(|error| error.to_string())?;
        let mut nodes = Self { bootstrap, libs, folder, running: [const { None }; NODES], ways, probe };
        (0..NODES).try_for_each(|node| nodes.restart(node))?;
        await_metadata(&nodes.bootstrap, NODES)?;
        Ok(nodes)
    }

    /// Makes a topic that every node has a replica of.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> Result<(), String> {
        // The cluster's own replication.
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let admin: AdminClient<DefaultClientContext> =
            client(&self.bootstrap).create().map_err(|error| error.to_string())?;
        let made = block_on(admin.create_topics([&topic], &AdminOptions::new())).map_err(|error| error.to_string())?;
        if let Some(Err((topic, code))) = made.into_iter().find(Result::is_err) {
            return Err(format!("cannot make topic {topic}: {code}"));
        }
        await_topic(&admin, name, partitions);
        Ok(())
    }

    /// Starts a node on what it had.
    pub(crate) fn restart(&mut self, node: usize) -> Result<(), String> {
        let home = self.home(node);
        fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let mut server = java(&self.libs, HEAP);
        server.arg("kafka.Kafka").arg(properties(self.folder.path(), node));
        self.running[node] = Some(guard(&home, &server)?);
        Ok(())
    }

    /// Kills a node as a machine that fails does.
    pub(crate) fn kill(&mut self, node: usize) {
        let Some(mut guard) = self.running[node].take() else { return };
        drop(guard.stdin.take());
        // The shell has killed the server when it ends.
        let _ = guard.wait();
    }

    /// Sends a signal to a node.
    pub(crate) fn signal(&self, node: usize, signal: &str) {
        let id = fs::read_to_string(self.home(node).join("pid")).unwrap_or_default();
        let sent = Command::new("kill").args([signal, id.trim()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "node {node} cannot be sent {signal}");
    }

    /// Cuts or holds the way of clients to a node, or opens it again.
    pub(crate) fn set_way(&self, node: usize, passage: Passage) {
        self.ways[node].set(passage);
    }

    /// Whether every partition has all its replicas in sync.
    pub(crate) fn is_whole(&self) -> bool {
        let whole = |metadata: Metadata| {
            let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            metadata.brokers().len() == NODES && partitions.all(|partition| partition.isr().len() == NODES)
        };
        self.probe.fetch_metadata(None, ASK).is_ok_and(whole)
    }

    /// The node that leads a partition.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<usize> {
        let metadata = self.probe.fetch_metadata(Some(topic), ASK).ok()?;
        let partitions = metadata.topics().first()?.partitions();
        let leader = partitions.iter().find(|one| one.id() == partition)?.leader();
        usize::try_from(leader - 1).ok().filter(|node| *node < NODES)
    }

    fn home(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("running-{node}"))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        (0..NODES).for_each(|node| self.kill(node));
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "0").set("reconnect.backoff.max.ms", "500");
    config
}

fn properties(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("node-{node}.properties"))
}

/// Each node has a port for clients, one for nodes and one for controllers; clients are told `way` for the first.
/// Time-outs are Kafka's own.
fn settings(folder: &Path, node: usize, way: u16, ports: &[u16; 3 * NODES]) -> String {
    let [open, inside, controller] = [0, 1, 2].map(|kind| ports[kind * NODES + node]);
    let mut voters = String::new();
    for (id, port) in (1..).zip(&ports[2 * NODES..]) {
        let _ = write!(voters, "{}{id}@127.0.0.1:{port}", if id > 1 { "," } else { "" });
    }
    format!(
        "process.roles=broker,controller\nnode.id={}\ncontroller.quorum.voters={voters}\n\
         listeners=OPEN://127.0.0.1:{open},INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=OPEN://127.0.0.1:{way},INSIDE://127.0.0.1:{inside}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=INSIDE\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\n\
         auto.create.topics.enable=false\n\
         default.replication.factor=3\nmin.insync.replicas=2\nunclean.leader.election.enable=false\n\
         group.initial.rebalance.delay.ms=0\noffsets.topic.num.partitions=4\noffsets.topic.replication.factor=3\n\
         transaction.state.log.num.partitions=4\ntransaction.state.log.replication.factor=3\n\
         transaction.state.log.min.isr=2\nlog.retention.ms=-1\nlog.segment.bytes=268435456\n",
        node + 1,
        folder.join(format!("log-{node}")).display()
    )
}
