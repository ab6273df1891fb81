//! NSStream, NSInputStream and NSOutputStream.
