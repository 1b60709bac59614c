//! A checked way to Kafka: the configuration of every client, made once, tried before anything else starts.
//!
//! librdkafka keeps trying for ever when a password or a certificate is wrong; it says so only in its error callback.
//! Here that becomes one error at the start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::clock::{now, wall_clock};
use super::consumer::Member;
use super::login::{Login, Tokened};
use super::machine::Here;
use super::ports::{Cluster, Consumer, Incoming, Machine, Schemas, Sink, Unknown};
use super::producer::Producer;
use super::topics::{self, Own};
use super::whole_topic;
use crate::config::{KafkaConfig, Security};
use crate::error::{Error, Result};
use crate::registry::Registry;

/// How long brokers may take to answer at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long any single request may take later on.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What makes librdkafka quick and small for this work. The default back-off of
/// one second stalls fetching whenever the pipeline is slower than the fetcher.
const CONSUMER_TUNING: [(&str, &str); 10] = [
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "20000"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Start offsets are always given; an offset that is not there any more must not be passed over in silence.
    ("auto.offset.reset", "error"),
    // Range gives one member the same partition numbers of every topic, which is what a lane is made of.
    ("partition.assignment.strategy", "range"),
    // A member that was killed is missed after 8 s, and the others are told within 2 s more: its work goes on elsewhere
    // within 15 s. A member that ends in good order leaves, and is replaced at once.
    ("session.timeout.ms", "8000"),
    ("heartbeat.interval.ms", "2000"),
    // How soon a group hears of partitions that were added.
    ("topic.metadata.refresh.interval.ms", "5000"),
];

const PRODUCER_TUNING: [(&str, &str); 4] =
    [("enable.idempotence", "true"), ("acks", "all"), ("linger.ms", "0"), ("delivery.timeout.ms", "30000")];

/// A checked way to Kafka.
#[derive(Debug, Clone)]
pub struct Connection {
    settings: KafkaConfig,
    base: ClientConfig,
    login: Option<Arc<Login>>,
    cluster: String,
    machine: Arc<dyn Machine>,
    schemas: Arc<dyn Schemas>,
}

impl Connection {
    /// Reads the secrets and tries the brokers.
    pub fn open(settings: &KafkaConfig) -> Result<Self> {
        let base = base_config(settings)?;
        let login = settings.security.tokens.clone().map(Login::new).map(Arc::new);
        let errors = Errors { login: login.clone(), ..Errors::default() };
        let probe: BaseConsumer<Errors> = base.create_with_context(errors).map_err(|error| {
            Error::user("librdkafka refuses its settings").because(error).hint("correct `kafka.librdkafka`")
        })?;
        let schemas: Arc<dyn Schemas> = match &settings.registry {
            Some(registry) => Arc::new(Registry::open(registry)?),
            None => Arc::new(Unknown),
        };
        introduce(login.as_deref(), probe.client())?;
        let cluster = await_cluster(&probe, settings)?;
        Ok(Self { settings: settings.clone(), base, login, cluster, machine: Arc::new(Here), schemas })
    }

    /// What gives tokens to clients, where they log in so.
    #[must_use]
    pub(super) fn login(&self) -> Option<Arc<Login>> {
        self.login.clone()
    }

    /// A client of its own that is new to the brokers can be used once it has been introduced.
    pub(super) fn introduce<C: ClientContext>(&self, client: &Client<C>) -> Result<()> {
        introduce(self.login.as_deref(), client)
    }

    /// What it was made from.
    #[must_use]
    pub fn settings(&self) -> &KafkaConfig {
        &self.settings
    }

    /// The id that the cluster gives itself.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// A consumer of a group. `name` tells its threads and connections apart.
    pub fn consumer(&self, group: &str, name: &str) -> Result<BaseConsumer<Errors>> {
        self.consumer_with(group, name, self.errors())
    }

    fn consumer_with<C: ConsumerContext>(&self, group: &str, name: &str, context: C) -> Result<BaseConsumer<C>> {
        let mut config = self.tuned(&CONSUMER_TUNING);
        config.set("group.id", group).set("client.id", client_id(name));
        self.made(&config, context)
    }

    fn made<C: ConsumerContext>(&self, config: &ClientConfig, context: C) -> Result<BaseConsumer<C>> {
        let consumer: BaseConsumer<C> = config.create_with_context(context).map_err(no_consumer)?;
        self.introduce(consumer.client())?;
        Ok(consumer)
    }

    fn errors(&self) -> Errors {
        Errors { login: self.login(), ..Errors::default() }
    }

    /// A consumer that belongs to no group, starts where it is told and tells when a partition ends.
    pub fn reader(&self, name: &str) -> Result<BaseConsumer<Errors>> {
        let mut config = self.tuned(&CONSUMER_TUNING);
        config
            .set("group.id", &self.settings.group)
            .set("client.id", client_id(name))
            .set("enable.partition.eof", "true");
        self.made(&config, self.errors())
    }

    /// Configuration of an idempotent producer that sends at once.
    #[must_use]
    pub fn producer_config(&self) -> ClientConfig {
        self.tuned(&PRODUCER_TUNING)
    }

    /// A client that asks about topics, and makes them. A token that it is given is the only one it has.
    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        let failed = |error| Error::user("cannot make a Kafka admin client").because(error);
        let admin: AdminClient<DefaultClientContext> = self.base.create().map_err(failed)?;
        self.introduce(admin.inner())?;
        Ok(admin)
    }

    fn tuned(&self, tuning: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.base.clone();
        for (key, value) in tuning.iter().filter(|(key, _)| !self.settings.librdkafka.contains_key(*key)) {
            config.set(*key, *value);
        }
        config
    }
}

impl Cluster for Connection {
    fn settings(&self) -> &KafkaConfig {
        &self.settings
    }

    fn id(&self) -> &str {
        &self.cluster
    }

    fn machine(&self) -> &Arc<dyn Machine> {
        &self.machine
    }

    fn schemas(&self) -> Arc<dyn Schemas> {
        Arc::clone(&self.schemas)
    }

    fn consumer(&self, group: &str, name: &str) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(self.consumer_with(group, name, Member::of(self.login()))?))
    }

    fn producer(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(Producer::open(self)?))
    }

    fn create(&self, topics: &[Own<'_>]) -> Result<()> {
        topics::create(self, topics)
    }

    fn read_whole(&self, topic: &str, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        whole_topic::read(self, topic, |message| take(message))
    }

    fn read_last(&self, topic: &str, records: i64, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        whole_topic::read_from(self, topic, Offset::OffsetTail(records), |message| take(message))
    }
}

/// Members of a group are put in the order of their ids, and the first is given what cannot be shared: whoever has been
/// there for longest keeps the work when another one joins.
fn client_id(name: &str) -> String {
    format!("haldane-{:013}-{}-{name}", wall_clock() / 1_000, std::process::id())
}

fn introduce<C: ClientContext>(login: Option<&Login>, client: &Client<C>) -> Result<()> {
    login.map_or(Ok(()), |login| login.introduce(client))
}

fn no_consumer(error: KafkaError) -> Error {
    Error::user("cannot make a Kafka consumer").because(error).hint("correct `kafka.librdkafka`")
}

fn base_config(settings: &KafkaConfig) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    secure(&mut config, &settings.security)?;
    for (key, value) in &settings.librdkafka {
        config.set(key, value);
    }
    Ok(config)
}

fn secure(config: &mut ClientConfig, security: &Security) -> Result<()> {
    config.set("security.protocol", security.protocol.name());
    if let Some(mechanism) = security.mechanism {
        config.set("sasl.mechanisms", mechanism.name());
    }
    if let Some(username) = &security.username {
        config.set("sasl.username", username);
    }
    if let Some(secret) = &security.password {
        config.set("sasl.password", secret.read("the Kafka password", "kafka.security.password")?.expose());
    }
    let files = [
        ("ssl.ca.location", "ca", &security.ca),
        ("ssl.certificate.location", "certificate", &security.certificate),
        ("ssl.key.location", "key", &security.key),
    ];
    for (key, field, path) in files {
        let Some(path) = path else { continue };
        if !path.is_file() {
            return Err(Error::user(format!("cannot find {}", path.display()))
                .hint(format!("correct `kafka.security.{field}`")));
        }
        config.set(key, path.to_string_lossy());
    }
    Ok(())
}

/// Waits until the cluster names itself. What the callback says in the meantime decides which error it becomes.
fn await_cluster(probe: &BaseConsumer<Errors>, settings: &KafkaConfig) -> Result<String> {
    let deadline = now() + CONNECT_TIMEOUT;
    loop {
        let answer = probe.client().fetch_cluster_id(Duration::from_millis(200));
        while probe.poll(Duration::ZERO).is_some() {}
        match (answer, probe.context().worst()) {
            (Some(cluster), _) => return Ok(cluster),
            (None, Some(said)) if is_final(&said) => return Err(refusal(&said, settings)),
            (None, said) if now() >= deadline => return Err(unreachable(said, settings)),
            _ => {}
        }
    }
}

/// What the error callback said: a code, and the reason in words.
type BrokerSaid = (RDKafkaErrorCode, String);

/// Whether trying again cannot help.
fn is_final(said: &BrokerSaid) -> bool {
    is_tls(said) || matches!(said.0, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
}

/// A listener that hangs up during the handshake comes as a transport error; only the words tell.
fn is_tls((code, reason): &BrokerSaid) -> bool {
    *code == RDKafkaErrorCode::SSL || reason.contains("SSL handshake failed")
}

fn refusal(said: &BrokerSaid, settings: &KafkaConfig) -> Error {
    let brokers = &settings.brokers;
    let reason = said.1.clone();
    if is_tls(said) {
        return Error::user(format!("no TLS connection to Kafka at {brokers}"))
            .because(reason)
            .hint("check `kafka.security.ca`, and that this listener speaks TLS");
    }
    if settings.security.tokens.is_some() {
        return Error::user(format!("Kafka at {brokers} refuses the token"))
            .because(reason)
            .hint("check `kafka.security.oauth`, and whom and what the brokers trust");
    }
    let user = settings.security.username.as_deref().unwrap_or("");
    Error::user(format!("Kafka at {brokers} refuses the login of user `{user}`"))
        .because(reason)
        .hint("check `kafka.security`: username, mechanism, and the password in its variable or file")
}

fn unreachable(said: Option<BrokerSaid>, settings: &KafkaConfig) -> Error {
    let seconds = CONNECT_TIMEOUT.as_secs();
    let error = Error::external(format!("no answer from Kafka at {} within {seconds} s", settings.brokers))
        .hint("check `kafka.brokers`, and that the brokers run and can be reached from here");
    match said {
        Some((_, reason)) => error.because(reason),
        None => error,
    }
}

/// What the error callback said: the last error, but none that is final is ever replaced.
#[derive(Debug, Default)]
pub struct Errors {
    worst: Mutex<Option<BrokerSaid>>,
    login: Option<Arc<Login>>,
}

impl Errors {
    fn worst(&self) -> Option<BrokerSaid> {
        self.worst.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Errors {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Tokened {
        Login::refresh(self.login.as_deref())
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        trace_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut worst = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" comes on top of the reason why, and says less.
        let says_less = code == RDKafkaErrorCode::AllBrokersDown && worst.is_some();
        if !says_less && !worst.as_ref().is_some_and(is_final) {
            *worst = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Errors {}

/// Hands a line of librdkafka's log to ours. Its own errors come as error events too, so here they are warnings at
/// most.
pub fn trace_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug | RDKafkaLogLevel::Notice => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::warn!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> KafkaConfig {
        KafkaConfig::plain("broker.invalid:9093", "g")
    }

    #[test]
    fn raw_settings_win_over_the_tuning() {
        let mut settings = settings();
        settings.librdkafka.insert("linger.ms".into(), "7".into());
        let base = base_config(&settings).unwrap();
        let (cluster, machine) = (String::new(), Arc::new(Here));
        let connection = Connection { settings, base, login: None, cluster, machine, schemas: Arc::new(Unknown) };
        let config = connection.producer_config();
        assert_eq!((config.get("linger.ms"), config.get("acks")), (Some("7"), Some("all")));
        assert_eq!(connection.tuned(&CONSUMER_TUNING).get("fetch.queue.backoff.ms"), Some("2"));
    }

    #[test]
    fn a_login_error_is_not_drowned_by_later_ones() {
        let errors = Errors::default();
        errors.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "connection reset");
        errors.error(KafkaError::Global(RDKafkaErrorCode::Authentication), "wrong password");
        errors.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let error = refusal(&errors.worst().unwrap(), &settings());
        assert_eq!(error.to_string(), "Kafka at broker.invalid:9093 refuses the login of user ``: wrong password");
    }

    #[test]
    fn a_certificate_that_is_not_there_is_named() {
        let security = Security { ca: Some("/no/such/ca.pem".into()), ..Security::default() };
        let error = base_config(&KafkaConfig { security, ..settings() }).unwrap_err();
        assert_eq!(error.to_string(), "cannot find /no/such/ca.pem");
        assert_eq!(error.advice(), Some("correct `kafka.security.ca`"));
    }
}
