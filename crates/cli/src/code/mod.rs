//! Code on its way into a package: from flags to an archive, inline when small, uploaded when large.

pub(crate) mod bundle;
pub(crate) mod download;
pub(crate) mod payload;
pub(crate) mod sources;
