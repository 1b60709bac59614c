//! Where queries are answered: a few threads that do nothing else.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::{Answer, Session};
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
    /// As [`Session::answer`], and when it takes too long.
    pub async fn answer(&self, sql: String) -> Result<Answer> {
        let session = Arc::clone(&self.session);
        let limit = session.limits().time;
        let work = self.runtime().spawn(async move { session.answer(&sql).await });
        let stop = work.abort_handle();
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(broken)) => Err(Error::internal("the query failed").because(broken)),
            Err(_) => {
                stop.abort();
                Err(Error::user(format!("the query took longer than {} s and was stopped", limit.as_secs_f64()))
                    .hint("narrow it: fewer days, a model, a column; a recursive query needs an end"))
            }
        }
    }

    /// Answers a query; for callers on a plain thread.
    ///
    /// # Errors
    /// As [`Desk::answer`].
    pub fn ask(&self, sql: &str) -> Result<Answer> {
        self.runtime().block_on(self.answer(sql.to_owned()))
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it ends with the desk")
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
