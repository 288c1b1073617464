//! The journey in: open -> judge -> route -> deliver -> notify. Control flow only.
