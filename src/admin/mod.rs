//! What the operator touches while `serve` runs: `admin.sock`, health. In: one JSON object a line. Out: one JSON object a line.
//! Every verb on live state is a function here, called through the socket or by a CLI that owns the store itself (decision 13).
