//! Where executors find what they read: on their own machine, or in buckets, which are opened when they are first asked
//! for.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::ObjectStore;
use url::Url;

use crate::store::StoreFolder;

/// `DataFusion`'s, which knows only the files of its machine, and buckets as the variables of its environment say.
#[derive(Debug, Default)]
pub(super) struct Objects(DefaultObjectStoreRegistry);

impl ObjectStoreRegistry for Objects {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.0.register_store(url, store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.0.get_store(url).or_else(|_| {
            let place = StoreFolder::open(url.as_str()).map_err(|error| DataFusionError::External(error.into()))?;
            self.register_store(url, Arc::clone(place.objects()));
            Ok(Arc::clone(place.objects()))
        })
    }
}
