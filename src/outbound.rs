//! The journey out: discover -> judge -> seal -> relay -> settle. Control flow only.
