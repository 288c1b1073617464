//! The command line: one file a verb. In: arguments. Out: a table or JSON, and an exit code.
