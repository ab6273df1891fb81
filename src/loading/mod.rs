//! Loaders: what turns a request into a response and a body. Knows no sessions and no C types.

pub mod body;
pub mod client;
pub mod coding;
pub mod curl_error;
pub mod feed;
pub mod file_body;
pub mod http;
pub mod metrics;
pub mod priority;
pub mod record;
pub mod redirect;
pub mod request;
pub mod response;
pub mod resumable_upload;
pub mod resume;
