//! The SMTP dialogue without I/O (helper to be written).
