//! NSURLSessionTaskMetrics and NSURLSessionTaskTransactionMetrics.
