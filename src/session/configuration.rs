//! NSURLSessionConfiguration: what a session copies when it is made.

use std::sync::{Arc, RwLock};

use crate::foundation::headers::HeaderFields;
use crate::foundation::object::{Class, Header, Object, begins_with_header, downcast, hash_of};
use crate::foundation::sync::SharedLock;

/// Settings at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigurationValue {
    pub ephemeral: bool,
    pub timeout_for_request: f64,
    pub timeout_for_resource: f64,
    pub additional_headers: Option<HeaderFields>,
    pub connections_per_host: i64,
}

impl ConfigurationValue {
    fn new(ephemeral: bool) -> ConfigurationValue {
        ConfigurationValue {
            ephemeral,
            timeout_for_request: 60.0,
            timeout_for_resource: 7.0 * 24.0 * 3600.0,
            additional_headers: None,
            connections_per_host: 6,
        }
    }
}

/// Whether `seconds` can be a timeout. Infinity is one: none at all.
pub fn is_timeout(seconds: f64) -> bool {
    seconds > 0.0
}

#[repr(C)]
pub struct Configuration {
    header: Header,
    value: RwLock<ConfigurationValue>,
}

begins_with_header!(Configuration);

impl Configuration {
    pub fn default_session() -> Arc<Configuration> {
        Self::with_value(ConfigurationValue::new(false))
    }

    pub fn ephemeral() -> Arc<Configuration> {
        Self::with_value(ConfigurationValue::new(true))
    }

    pub fn with_value(value: ConfigurationValue) -> Arc<Configuration> {
        Arc::new(Configuration {
            header: Header::new(Class::Configuration),
            value: RwLock::new(value),
        })
    }

    pub fn value(&self) -> ConfigurationValue {
        self.value.reading().clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut ConfigurationValue)) {
        change(&mut self.value.writing());
    }
}

impl Object for Configuration {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let value = self.value();
        format!(
            "<configuration: {}, request timeout {} s, resource timeout {} s, {} connections per host, headers {}>",
            if value.ephemeral {
                "ephemeral"
            } else {
                "default"
            },
            value.timeout_for_request,
            value.timeout_for_resource,
            value.connections_per_host,
            value
                .additional_headers
                .map_or("none".to_owned(), |fields| fields
                    .dictionary()
                    .description()),
        )
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Configuration>(other).is_some_and(|other| self.value() == other.value())
    }

    fn hash_value(&self) -> u64 {
        let value = self.value();
        hash_of(&(
            value.ephemeral,
            value.timeout_for_request.to_bits(),
            value.connections_per_host,
        ))
    }

    fn copied(&self) -> Option<Arc<dyn Object>> {
        Some(Self::with_value(self.value()))
    }
}
