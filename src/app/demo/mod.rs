//! A whole canary rollout on this machine: an in-process broker, made-up traffic, the real Kafka shell and engine over
//! it.
//!
//! Nothing is simulated but the world: decisions are carried out by the adapter of `haldane act` in a file, which a
//! proxy on loopback obeys, and that sends the traffic.

mod broker;
mod hold;
mod proxy;
mod teller;
pub mod traffic;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use self::broker::Broker;
use self::hold::{Ears, TrafficFollower};
use self::proxy::Proxy;
use self::teller::{DemoOutput, RunTotals};
use self::traffic::{DemoTraffic, LAST_WINDOW_END};
use crate::cli::run::stop_on_signal;
use crate::config::{self, KafkaConfig, Power, Topics};
use crate::error::{Error, Result};
use crate::kafka::Connection;
use crate::kafka::cloud_event;
use crate::kafka::connection::Errors;
use crate::kafka::standalone;
use crate::kafka::watch::Audience;
use crate::plan::Plan;
use crate::serve::{Access, Listener, Server, Shared, new_id};
use crate::targets::acting::{Actor, Mode};
use crate::targets::{self, ActConfig};
use crate::verdict::Decision;

/// The pipeline that is run.
pub const PIPELINE: &str = include_str!("../../../pipelines/demo.yaml");

/// Far longer than the traffic lasts.
const DEADLINE: Duration = Duration::from_mins(2);

/// How long the control topic is waited for at a time.
const POLL: Duration = Duration::from_millis(50);

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// What the traffic is made from.
    pub seed: u64,
    /// Where the HTTP server listens.
    pub listen: String,
    /// Whether it goes on serving when the traffic is over, until it is told to stop.
    pub keep: bool,
}

/// Runs the demo and tells it to `out`.
pub fn run(options: &DemoOptions, out: &mut dyn Write) -> Result<()> {
    let proxy = Proxy::start()?;
    let pipeline = config::parse(PIPELINE, "pipelines/demo.yaml", proxy.folder())?;
    let topics = Topics::default();
    let broker = Broker::start(&[&topics.control, &topics.commands, &topics.state, &topics.dead_letter])?;
    let settings = KafkaConfig { topics, ..KafkaConfig::plain(broker.address(), "haldane-demo") };
    let shared = Arc::new(Shared::new());
    let server = Server::start(&options.listen, Arc::clone(&shared))?;
    let mut teller = DemoOutput::new(out);
    teller.introduce(options.seed, &settings.brokers, (server.address(), proxy.address()))?;
    let quit = options.keep.then(stop_on_signal).transpose()?;
    if options.keep {
        let token = new_id();
        shared.admit(Access::default().with("demo", &[Power::Approver, Power::Operator], &token)?);
        shared.steer(Box::new(settings.clone()));
        teller.admit(server.address(), &token)?;
    }
    let stage = DemoSetup { plan: pipeline.plan, act: pipeline.act, settings, shared, seed: options.seed, quit };
    stage.perform(proxy, &mut teller)?;
    server.shutdown();
    Ok(())
}

/// What a performance needs.
struct DemoSetup {
    plan: Arc<Plan>,
    act: Vec<ActConfig>,
    settings: KafkaConfig,
    shared: Arc<Shared>,
    seed: u64,
    /// Set by a signal when it is to end, where it does not end by itself.
    quit: Option<Arc<AtomicBool>>,
}

impl DemoSetup {
    /// Runs service, adapter and traffic beside each other until the last window is judged.
    fn perform(&self, mut proxy: Proxy, teller: &mut DemoOutput<'_>) -> Result<()> {
        let control = Control::open(&self.settings)?;
        let listener = Listener::new(Arc::clone(&self.shared), &self.plan);
        let (stop, fault, ears) = (AtomicBool::new(false), OnceLock::new(), Ears::default());
        let (hang_up, stopped) = mpsc::channel();
        let begun = now();
        thread::scope(|scope| {
            let (stop, fault, ears, proxy) = (&stop, &fault, &ears, &mut proxy);
            let options = standalone::RunOptions { alone: false, ..standalone::RunOptions::default() };
            let service = scope.spawn(move || {
                standalone::run(&self.plan, &self.settings, options, Audience::watching(&listener), stop)
            });
            let adapter = scope.spawn(move || self.carry_out(ears, stop));
            let feeder = scope.spawn(move || {
                let mut hold = TrafficFollower::new(&self.shared, ears, fault);
                let traffic = (DemoTraffic::new(self.seed), proxy);
                broker::feed(&self.settings.brokers, traffic, &stopped, &mut hold).map(|()| hold.stretches())
            });
            let mut show = Show { control, teller, begun, fault, told: 0 };
            let is_over = || service.is_finished() || adapter.is_finished();
            let shown = show.until(|_| is_over() || self.shared.judged().upto >= LAST_WINDOW_END);
            let took = begun.elapsed();
            let kept = shown.and_then(|()| show.keep(self.quit.as_deref(), is_over));
            stop.store(true, Ordering::Relaxed);
            drop(hang_up);
            let (summary, fed, acted) = (ended(service), ended(feeder), ended(adapter));
            let (summary, stretches) = (summary?, fed?);
            acted.and(kept)?;
            // The last ones may still be on their way from the control topic.
            show.until(|told| told >= summary.decisions)?;
            let windows = self.shared.judged().windows;
            let run = RunTotals { events: summary.events, rejects: summary.rejects, windows, took };
            show.teller.conclude(&run, &stretches, &ears.took())
        })
    }

    /// What `haldane act` does, for the one target of the pipeline.
    fn carry_out(&self, ears: &Ears, stop: &AtomicBool) -> Result<()> {
        let cluster = Connection::open(&self.settings)?;
        for config in &self.act {
            if let Some(target) = targets::open(config)? {
                Actor::open(config, target, &self.plan, (&cluster, ears), Mode::On)?.run(stop)?;
            }
        }
        Ok(())
    }
}

fn ended<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::internal("a thread of the demo panicked")))
}

#[expect(clippy::disallowed_methods, reason = "tells how long it took here; decisions do not depend on it")]
fn now() -> Instant {
    Instant::now()
}

/// Tells decisions while they fall.
struct Show<'a, 'b> {
    control: Control,
    teller: &'a mut DemoOutput<'b>,
    begun: Instant,
    fault: &'a OnceLock<Instant>,
    told: u64,
}

impl Show<'_, '_> {
    /// Goes on telling until it is to quit or `ended`.
    fn keep(&mut self, quit: Option<&AtomicBool>, ended: impl Fn() -> bool) -> Result<()> {
        let Some(quit) = quit else { return Ok(()) };
        self.teller.keep()?;
        while !quit.load(Ordering::Relaxed) && !ended() {
            if let Some(decision) = self.control.next()? {
                self.told += 1;
                self.teller.decided(&decision, None)?;
            }
        }
        Ok(())
    }

    /// Tells decisions until `done` says, of how many were told, that it is over.
    fn until(&mut self, done: impl Fn(u64) -> bool) -> Result<()> {
        while !done(self.told) {
            if self.begun.elapsed() > DEADLINE {
                return Err(Error::external("the demo takes too long").hint("try again when this machine is less busy"));
            }
            if let Some(decision) = self.control.next()? {
                self.told += 1;
                self.teller.decided(&decision, self.fault.get().map(Instant::elapsed))?;
            }
        }
        Ok(())
    }
}

/// The control topic, read from its beginning.
struct Control {
    consumer: BaseConsumer<Errors>,
}

impl Control {
    fn open(settings: &KafkaConfig) -> Result<Self> {
        let connection = Connection::open(settings)?;
        let consumer = connection.consumer("haldane-demo-viewer", "viewer")?;
        let mut partition = TopicPartitionList::new();
        let unreadable = |error| Error::internal("the control topic cannot be read").because(error);
        partition.add_partition_offset(&settings.topics.control, 0, Offset::Beginning).map_err(unreadable)?;
        consumer.assign(&partition).map_err(unreadable)?;
        Ok(Self { consumer })
    }

    /// The next decision, if one comes soon.
    fn next(&self) -> Result<Option<Decision>> {
        let Some(message) = self.consumer.poll(POLL) else { return Ok(None) };
        let message = message.map_err(|error| Error::internal("the control topic cannot be read").because(error))?;
        let unreadable = |error| Error::internal("a decision cannot be read").because(error);
        cloud_event::body_of(&message, cloud_event::DECISION).transpose().map_err(unreadable)
    }
}
