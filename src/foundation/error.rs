//! NSError: domain, code, user info, and sentences for a person.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use super::data::Data;
use super::dictionary::{Dictionary, Keys};
use super::error_code;
use super::object::{Class, Header, Object, begins_with_header, downcast, hash_of};
use super::string::{Text, c_string};

pub const URL_DOMAIN: &str = "NSURLErrorDomain";
pub const POSIX_DOMAIN: &str = "NSPOSIXErrorDomain";
pub const CURL_DOMAIN: &str = "libcurl";
pub const OPENSSL_DOMAIN: &str = "OpenSSL";

pub const FAILING_URL_KEY: &str = "NSErrorFailingURLKey";
pub const FAILING_URL_STRING_KEY: &str = "NSErrorFailingURLStringKey";
pub const UNDERLYING_ERROR_KEY: &str = "NSUnderlyingError";
pub const DESCRIPTION_KEY: &str = "NSLocalizedDescription";
pub const FAILURE_REASON_KEY: &str = "NSLocalizedFailureReason";
pub const RECOVERY_SUGGESTION_KEY: &str = "NSLocalizedRecoverySuggestion";
pub const DOWNLOAD_RESUME_DATA_KEY: &str = "NSURLSessionDownloadTaskResumeData";
pub const UPLOAD_RESUME_DATA_KEY: &str = "NSURLSessionUploadTaskResumeData";
pub const TIMEOUT_KIND_KEY: &str = "NSURLSessionTimeoutKind";

#[repr(C)]
pub struct Error {
    header: Header,
    domain: CString,
    code: i64,
    user_info: Arc<Dictionary>,
    description: CString,
    failure_reason: Option<CString>,
    recovery_suggestion: Option<CString>,
}

begins_with_header!(Error);

impl Error {
    /// An error with the caller's user info; a description is made where that has none.
    pub fn new(domain: &str, code: i64, user_info: Arc<Dictionary>) -> Arc<Error> {
        let entry = (domain == URL_DOMAIN)
            .then(|| error_code::entry(code))
            .flatten();
        let description =
            user_info
                .string(DESCRIPTION_KEY)
                .unwrap_or_else(|| match (entry, domain) {
                    (Some(entry), _) => entry.description.to_owned(),
                    (None, POSIX_DOMAIN) => posix_description(code),
                    (None, _) => {
                        format!("The operation couldn’t be completed. ({domain} error {code}.)")
                    }
                });
        let sentence = |key: &str, known: Option<&'static str>| {
            user_info
                .string(key)
                .or_else(|| known.map(str::to_owned))
                .map(|text| c_string(&text))
        };
        Arc::new(Error {
            header: Header::new(Class::Error),
            domain: c_string(domain),
            code,
            description: c_string(&description),
            failure_reason: sentence(
                FAILURE_REASON_KEY,
                entry.and_then(|entry| entry.failure_reason),
            ),
            recovery_suggestion: sentence(
                RECOVERY_SUGGESTION_KEY,
                entry.and_then(|entry| entry.recovery_suggestion),
            ),
            user_info,
        })
    }

    pub fn domain(&self) -> &CStr {
        &self.domain
    }

    pub fn code(&self) -> i64 {
        self.code
    }

    pub fn user_info(&self) -> &Arc<Dictionary> {
        &self.user_info
    }

    pub fn localized_description(&self) -> &CStr {
        &self.description
    }

    pub fn failure_reason(&self) -> Option<&CStr> {
        self.failure_reason.as_deref()
    }

    pub fn recovery_suggestion(&self) -> Option<&CStr> {
        self.recovery_suggestion.as_deref()
    }

    /// The error of the layer below, if there is one.
    pub fn underlying(&self) -> Option<Arc<dyn Object>> {
        self.user_info
            .get(UNDERLYING_ERROR_KEY)
            .filter(|object| downcast::<Error>(&**object).is_some())
    }
}

fn posix_description(code: i64) -> String {
    match i32::try_from(code) {
        Ok(number) => std::io::Error::from_raw_os_error(number).to_string(),
        Err(_) => format!("Unknown error {code}"),
    }
}

impl Object for Error {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let mut text = format!(
            "<error: {} {} \"{}\"",
            self.domain.to_string_lossy(),
            self.code,
            self.description.to_string_lossy()
        );
        if let Some(url) = self.user_info.string(FAILING_URL_STRING_KEY) {
            text.push_str(&format!(", url {url}"));
        }
        if let Some(underlying) = self.underlying() {
            text.push_str(&format!(", underlying {}", underlying.description()));
        }
        text.push('>');
        text
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Error>(other).is_some_and(|other| {
            self.domain == other.domain
                && self.code == other.code
                && self.user_info.equals(&*other.user_info)
        })
    }

    fn depth(&self) -> usize {
        1 + self.user_info.depth()
    }

    fn hash_value(&self) -> u64 {
        hash_of(&(&self.domain, self.code))
    }
}

/// Builds an error of `NSURLErrorDomain`.
#[derive(Clone, Debug)]
pub struct Failure {
    code: i64,
    url: Option<String>,
    detail: Option<String>,
    timeout_kind: Option<&'static str>,
    underlying: Vec<(&'static str, i64, String)>,
    resume_data: Option<ResumeDataEntry>,
}

/// A key of the user info, and the data under it.
#[derive(Clone)]
struct ResumeDataEntry(&'static str, Arc<Data>);

impl std::fmt::Debug for ResumeDataEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Failure {
    pub fn new(code: i64) -> Failure {
        Failure {
            code,
            url: None,
            detail: None,
            timeout_kind: None,
            underlying: Vec::new(),
            resume_data: None,
        }
    }

    pub fn code(&self) -> i64 {
        self.code
    }

    /// The URL that failed; empty when there is none.
    pub fn url(mut self, url: impl Into<String>) -> Failure {
        self.url = Some(url.into()).filter(|url| !url.is_empty());
        self
    }

    /// What exactly happened: becomes the failure reason.
    pub fn detail(mut self, detail: impl Into<String>) -> Failure {
        self.detail = Some(detail.into());
        self
    }

    /// Which timer expired.
    pub fn timeout(mut self, kind: &'static str) -> Failure {
        self.timeout_kind = Some(kind);
        self
    }

    /// An error of a layer below; the first one given is the nearest.
    pub fn underlying(
        mut self,
        domain: &'static str,
        code: i64,
        text: impl Into<String>,
    ) -> Failure {
        self.underlying.push((domain, code, text.into()));
        self
    }

    /// What a later task can go on from, under the key for its kind.
    pub fn resume_data(mut self, key: &'static str, data: Option<Arc<Data>>) -> Failure {
        self.resume_data = data.map(|data| ResumeDataEntry(key, data));
        self
    }

    pub fn build(self) -> Arc<Error> {
        let user_info = Dictionary::new(Keys::Exact);
        if let Some(url) = &self.url {
            let text = Text::new(url);
            user_info.set(FAILING_URL_KEY, Arc::clone(&text) as Arc<dyn Object>);
            user_info.set(FAILING_URL_STRING_KEY, text);
        }
        if let Some(entry) = error_code::entry(self.code) {
            let url = self
                .url
                .as_deref()
                .and_then(|url| url::Url::parse(url).ok());
            let host = url.as_ref().and_then(url::Url::host_str);
            user_info.set_string(DESCRIPTION_KEY, &entry.description_for_host(host));
        }
        if let Some(detail) = &self.detail {
            user_info.set_string(FAILURE_REASON_KEY, detail);
        }
        if let Some(kind) = self.timeout_kind {
            user_info.set_string(TIMEOUT_KIND_KEY, kind);
        }
        if let Some(ResumeDataEntry(key, data)) = self.resume_data {
            user_info.set(key, data);
        }
        let mut below: Option<Arc<Error>> = None;
        for (domain, code, text) in self.underlying.into_iter().rev() {
            let info = Dictionary::new(Keys::Exact);
            info.set_string(DESCRIPTION_KEY, &text);
            if let Some(below) = below.take() {
                info.set(UNDERLYING_ERROR_KEY, below);
            }
            below = Some(Error::new(domain, code, Arc::new(info)));
        }
        if let Some(below) = below {
            user_info.set(UNDERLYING_ERROR_KEY, below);
        }
        Error::new(URL_DOMAIN, self.code, Arc::new(user_info))
    }
}
