//! The object store behind a simulated service: in memory, and now and then out of order or not telling the truth.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::broker::with;
use crate::fate::Who;

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// It is carried out, and said to be.
    Told,
    /// It is carried out, but not said to be.
    Untold,
    /// It is not carried out.
    Not,
}

/// The store as one life of one process reaches it.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) who: Who,
    pub(crate) inner: Arc<InMemory>,
    /// A planted bug: what is there already is written over.
    pub(crate) overwrites: bool,
    /// A planted bug: of what is written, so many in a thousand is acknowledged and lost.
    pub(crate) forgets: u64,
}

impl Objects {
    fn fate(&self, what: &str) -> Done {
        let told = self.who.effect(what, |world| {
            let rate = world.scenario.rates.store_fails;
            if world.store_away_until > world.now {
                return Ok(Done::Not);
            }
            if !world.strikes(rate) {
                return Ok(Done::Told);
            }
            world.fault("store fails", || what.to_owned());
            Ok(if world.rng.below(2) == 0 { Done::Untold } else { Done::Not })
        });
        told.unwrap_or(Done::Not)
    }

    /// Whether a write is lost though it was acknowledged.
    fn is_forgotten(&self) -> bool {
        self.forgets > 0 && with(|world| world.rng.below(1_000) < self.forgets)
    }
}

fn failure() -> Error {
    Error::Generic { store: "sim", source: "out of order".into() }
}

impl fmt::Display for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("sim")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        let options = if self.overwrites { PutOptions { mode: PutMode::Overwrite, ..options } } else { options };
        match self.fate(&format!("writes {at}")) {
            Done::Not => Err(failure()),
            Done::Told if self.is_forgotten() => Ok(PutResult { e_tag: None, version: None }),
            Done::Told => self.inner.put_opts(at, bytes, options).await,
            Done::Untold => {
                self.inner.put_opts(at, bytes, options).await?;
                Err(failure())
            }
        }
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        if self.fate("reads an object") == Done::Told { self.inner.get_opts(at, options).await } else { Err(failure()) }
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.fate("lists objects") == Done::Told {
            return self.inner.list(prefix);
        }
        futures_util::stream::once(async { Err(failure()) }).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
