//! temp
/// temp
#[derive(Debug)]
pub struct Draft;
/// temp
pub fn draft() -> Draft { Draft }
