//! Where queries are answered: a few threads that do nothing else.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use super::stop::Stop;
use super::{ResultSet, Session};
use crate::error::{Error, Result};

/// Bytes of a thread's stack: plans are walked by recursion, a few levels for each operator of a query.
const STACK: usize = 64 << 20;

/// Threads for queries.
#[derive(Debug)]
pub struct Desk {
    session: Arc<Session>,
    /// `None` only while it ends.
    runtime: Option<Runtime>,
}

impl Desk {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn open(session: Session) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(session.limits().threads)
            .thread_name("haldane-query")
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start the threads for queries").because(error))?;
        Ok(Self { session: Arc::new(session), runtime: Some(runtime) })
    }

    /// Answers a query; for callers on a thread of an async runtime of their own.
    ///
    /// # Errors
    /// When it is no query, does more than read, names what is not there, exceeds a bound other than the rows', or
    /// fails.
    pub async fn answer(&self, sql: String) -> Result<ResultSet> {
        let session = Arc::clone(&self.session);
        self.within_limit(|stop| async move { session.answer(&sql, &stop).await }).await
    }

    /// Does work on the threads for queries, for as long as a query may take and somebody waits for it.
    pub(super) async fn within_limit<T: Send + 'static, W: Future<Output = Result<T>> + Send + 'static>(
        &self,
        work: impl FnOnce(Stop) -> W,
    ) -> Result<T> {
        let (limit, stop) = (self.session.limits().time, Stop::default());
        let work = self.runtime().spawn(work(stop.clone()));
        let _leaving = Leaving(work.abort_handle(), stop);
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(broken)) => Err(Error::internal("the query failed").because(broken)),
            Err(_) => Err(Error::user(format!("the query took longer than {} s and was stopped", limit.as_secs_f64()))
                .hint("narrow it: fewer days, a model, a column; a recursive query needs an end")),
        }
    }

    /// Answers a query; for callers on a plain thread.
    ///
    /// # Errors
    /// As [`Desk::answer`].
    pub fn ask(&self, sql: &str) -> Result<ResultSet> {
        // The threads for queries may be too busy with this one to look at the time.
        let waiting = Builder::new_current_thread().enable_all().build();
        let waiting = waiting.map_err(|error| Error::internal("cannot wait for the answer").because(error))?;
        #[cfg(feature = "ballista")]
        if let Some((scheduler, job)) = self.session.cluster() {
            return waiting.block_on(job.watch(scheduler, self.answer(sql.to_owned())));
        }
        waiting.block_on(self.answer(sql.to_owned()))
    }

    #[cfg(feature = "pg")]
    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it ends with the desk")
    }
}

/// Stops work that nobody waits for any more: its time is over, or whoever asked has gone.
struct Leaving(AbortHandle, Stop);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.1.stop();
        self.0.abort();
    }
}

impl Drop for Desk {
    /// A query that does not come to an end holds nobody up.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::query::QueryLimits;

    #[test]
    fn work_that_nobody_waits_for_is_stopped() {
        let desk = Desk::open(Session::new(QueryLimits::default()).expect("a session")).expect("threads");
        let (held, gone) = mpsc::channel::<()>();
        desk.runtime().block_on(async {
            let endless = desk.within_limit(|_| async move {
                let _held = held;
                std::future::pending::<Result<()>>().await
            });
            let leaving = tokio::time::timeout(std::time::Duration::from_millis(20), endless).await;
            assert!(leaving.is_err(), "endless work has ended");
        });
        assert_eq!(gone.recv_timeout(std::time::Duration::from_secs(20)), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
