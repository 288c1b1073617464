//! MIME, byte-exact and bounded: header fields as octets, content types, multipart splitting, transfer encodings.
//! In: octets. Out: slices and decoded octets. Never re-serialises what was signed.
//! (Helper to be written; see the station owner.)
