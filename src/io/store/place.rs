//! Where a store is: a directory, or a bucket behind a URL, both as an object store.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
#[cfg(feature = "s3")]
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::{Path, PathPart};
use object_store::{
    Error as ObjectError, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};

use crate::error::{Error, Result};

/// A folder of an object store.
#[derive(Debug, Clone)]
pub struct StoreFolder {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    name: String,
    /// Where it is on this machine, if it is there.
    directory: Option<PathBuf>,
}

/// What became of an object that must not be there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now.
    New,
    /// It was there before.
    Known,
}

impl StoreFolder {
    /// The place that a path or a URL names. A directory must exist.
    pub fn open(url: &str) -> Result<Self> {
        match url.split_once("://") {
            None => Self::directory(FilePath::new(url), url),
            Some(("file", path)) => Self::directory(FilePath::new(path), url),
            Some(("s3" | "s3a", _)) => bucket(url),
            Some((scheme, _)) => Err(Error::user(format!("cannot keep a store at `{url}`: `{scheme}` is not known"))
                .hint("give a directory, or a bucket as s3://bucket/folder")),
        }
    }

    /// The same, where a directory is made when it is not there.
    pub fn create(url: &str) -> Result<Self> {
        let directory = url.strip_prefix("file://").unwrap_or(url);
        if !directory.contains("://") {
            std::fs::create_dir_all(directory).map_err(|error| {
                Error::user(format!("cannot make the directory {directory}"))
                    .because(error)
                    .hint("check that its parent exists and may be written to")
            })?;
        }
        Self::open(url)
    }

    fn directory(path: &FilePath, url: &str) -> Result<Self> {
        let objects = LocalFileSystem::new_with_prefix(path).map_err(|error| {
            Error::user(format!("there is no store at {url}"))
                .because(error)
                .hint("`haldane replay --store DIR` makes one, and so does `haldane run` with a `store:` section")
        })?;
        Ok(Self { directory: Some(path.to_owned()), ..Self::over(Arc::new(objects), Path::default(), url) })
    }

    /// The same as other processes know it, with the URL of its object store: a directory is counted from the root of
    /// the file system.
    pub fn shared(&self) -> Result<(String, Self)> {
        let Some(directory) = &self.directory else {
            let bucket = self.name.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            return Ok((bucket, self.clone()));
        };
        let failed = |why: String| {
            Error::user(format!("a cluster cannot read the store at {}", self.name))
                .because(why)
                .hint("give a directory that every executor has under the same path, or a bucket")
        };
        let whole = std::fs::canonicalize(directory).map_err(|error| failed(error.to_string()))?;
        let root = Path::from_absolute_path(&whole).map_err(|error| failed(error.to_string()))?;
        let place = Self { directory: Some(whole), ..Self::over(Arc::new(LocalFileSystem::new()), root, &self.name) };
        Ok(("file:///".to_owned(), place))
    }

    /// A folder of an object store that is open already.
    pub fn over(objects: Arc<dyn ObjectStore>, root: Path, name: &str) -> Self {
        Self { objects, root, name: name.to_owned(), directory: None }
    }

    /// The object store, for those who read it by themselves.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// What the user calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An object below the root, by its path with `/`.
    pub fn path(&self, relative: &str) -> Path {
        relative.split('/').fold(self.root.clone(), |path, part| match PathPart::parse(part) {
            Ok(part) => path.join(part),
            Err(_) => path.join(part.to_owned()),
        })
    }

    /// What an object holds.
    pub async fn get(&self, relative: &str) -> Result<Bytes> {
        let got = async { self.objects.get(&self.path(relative)).await?.bytes().await };
        got.await.map_err(|error| self.unreadable(relative, error))
    }

    /// Writes an object whose name says what is in it, so that it does not matter whether it was there.
    pub async fn put(&self, relative: &str, bytes: Bytes) -> Result<()> {
        let put = self.objects.put(&self.path(relative), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|error| self.unwritable(relative, error))
    }

    /// Writes an object unless it is there.
    pub async fn put_new(&self, relative: &str, bytes: Vec<u8>) -> Result<Created> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.objects.put_opts(&self.path(relative), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Created::New),
            Err(ObjectError::AlreadyExists { .. }) => Ok(Created::Known),
            Err(error) => Err(self.unwritable(relative, error)),
        }
    }

    /// Every object below a folder, in no order, by its path below the root.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>> {
        // Of a directory that has gone, an object store says that it is empty.
        if self.directory.as_ref().is_some_and(|directory| !directory.is_dir()) {
            return Err(self.gone());
        }
        let prefix = if folder.is_empty() { self.root.clone() } else { self.path(folder) };
        let listed = self.objects.list(Some(&prefix)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| self.unreadable(folder, error))?;
        Ok(listed.into_iter().filter_map(|meta| Some((self.relative(&meta.location)?, meta))).collect())
    }

    fn relative(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.root)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    /// Deletes an object; one that is gone already is no failure.
    pub async fn delete(&self, relative: &str) -> Result<()> {
        match self.objects.delete(&self.path(relative)).await {
            Ok(()) | Err(ObjectError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.unwritable(relative, error)),
        }
    }

    pub(super) fn gone(&self) -> Error {
        Error::external(format!("the store at {} has gone", self.name)).hint("check that it is mounted")
    }

    fn unreadable(&self, relative: &str, error: ObjectError) -> Error {
        let place = if relative.is_empty() { String::new() } else { format!("{relative} of ") };
        let failed = Error::external(format!("cannot read {place}the store at {}", self.name));
        self.explain(failed, error, "check that it is mounted, and who may read there")
    }

    fn unwritable(&self, relative: &str, error: ObjectError) -> Error {
        let failed = Error::external(format!("cannot write {relative} of the store at {}", self.name));
        self.explain(failed, error, "check the free space, and who may write there")
    }

    /// Adds the cause and what to do about it; a bucket's servers say at length what is wrong.
    fn explain(&self, failed: Error, error: ObjectError, of_directory: &str) -> Error {
        if self.directory.is_some() {
            return failed.because(error).hint(of_directory);
        }
        let said = error.to_string();
        let element = |name: &str| {
            let (_, rest) = said.split_once(&format!("<{name}>"))?;
            Some(rest.split_once("</")?.0.to_owned())
        };
        let code = element("Code");
        let hint = match &error {
            _ if code.as_deref() == Some("NoSuchBucket") => NO_BUCKET,
            // Where nothing says who asks, the machine itself is asked, at an address of Amazon's.
            _ if said.contains("169.254.169.254") => WHO_ASKS,
            _ if code.as_deref().is_some_and(is_about_who_asks) => WHO_ASKS,
            ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => WHO_ASKS,
            ObjectError::NotFound { .. } => "restore the file from a backup, or replay the log into a new store",
            _ => WHERE_IT_IS,
        };
        let cause = code.zip(element("Message")).map(|(code, message)| format!("{code}: {message}"));
        failed.because(cause.unwrap_or(said)).hint(hint)
    }
}

const NO_BUCKET: &str = "make the bucket, or correct its name; AWS_ENDPOINT_URL and AWS_REGION say where it is";
const WHO_ASKS: &str = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where there is one, AWS_SESSION_TOKEN say who asks: \
                        whoever that is must be allowed to list, read, write and delete";
const WHERE_IT_IS: &str = "check that the server answers: AWS_REGION says which of Amazon's, AWS_ENDPOINT_URL which of others, such as http://host:9000";

/// Codes of S3 for keys that are not known, or not good enough.
fn is_about_who_asks(code: &str) -> bool {
    ["AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"].contains(&code)
}

/// A name of the user's as a part of a path: whatever could not stand there is percent-encoded, and nothing at all is
/// what Hive writes for it.
pub(crate) fn encoded(name: &str) -> String {
    if name.is_empty() {
        return "__HIVE_DEFAULT_PARTITION__".to_owned();
    }
    PathPart::from(name).as_ref().to_owned()
}

/// A bucket, as the variables `AWS_…` say. A server that does not answer is told of within some 15 seconds.
#[cfg(feature = "s3")]
fn bucket(url: &str) -> Result<StoreFolder> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
    use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, retry_timeout: Duration::from_secs(10), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
    // Whoever names an endpoint without encryption wants it.
    let is_plain = |key: Key| builder.get_config_value(&key).is_some_and(|value| value.starts_with("http://"));
    if [Key::Endpoint, Key::S3Endpoint].into_iter().any(is_plain) {
        builder = builder.with_allow_http(true);
    }
    if std::env::var_os("AWS_TIMEOUT").is_none() {
        builder = builder.with_config(Key::Client(ClientConfigKey::Timeout), "15s");
    }
    let objects = builder.build().map_err(|error| {
        Error::user(format!("cannot open the bucket of {url}"))
            .because(error)
            .hint("write s3://bucket/folder; the variables AWS_… say where that is and who asks")
    })?;
    let folder = url.splitn(4, '/').nth(3).unwrap_or_default();
    Ok(StoreFolder::over(Arc::new(objects), Path::from(folder), url))
}

#[cfg(not(feature = "s3"))]
fn bucket(url: &str) -> Result<StoreFolder> {
    Err(Error::user(format!("cannot open {url}: this haldane was built without buckets"))
        .hint("build it with `--features s3`, or give a directory"))
}

/// Whether a store may be written at a place: makes an object there, reads it and deletes it.
///
/// # Errors
/// When any of that fails, with what to do.
pub fn probe(url: &str) -> Result<()> {
    const NAME: &str = "_probe";
    let place = StoreFolder::create(url)?;
    wait(async {
        place.put(NAME, Bytes::from_static(b"haldane")).await?;
        place.get(NAME).await?;
        place.list("").await?;
        place.delete(NAME).await
    })
}

/// Waits for an object store on a small runtime of the calling thread, which must not be a runtime's own.
pub(crate) fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::internal("cannot start a runtime").because(error))?.block_on(future)
}
