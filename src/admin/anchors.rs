//! `anchor import|list|export|rm`.

use crate::bundles::{self, AnchorRow};
use crate::crypto::issue;
use crate::journal::Actor;
use crate::limits;

use crate::bundles::ExportedAnchor;

use super::{AnchorExport, AnchorImport, AnchorRm, Failure, Handle, decode, exit, usage};

const DIRECTIONS: [&str; 3] = ["in", "out", "both"];

pub async fn import(
    handle: &Handle,
    actor: Actor,
    asked: AnchorImport,
) -> Result<Vec<AnchorRow>, Failure> {
    if !DIRECTIONS.contains(&asked.direction.as_str()) {
        return Err(usage(
            format!("there is no direction {}", asked.direction),
            "use in, out or both",
        ));
    }
    let octets = decode(&asked.octets)?;
    let found = issue::read_certificates(&octets).map_err(|sentence| {
        Failure::new(
            exit::FAILED,
            sentence,
            "give the partner's CA certificate, PEM or DER",
        )
    })?;
    if found.is_empty() || found.len() > limits::ANCHORS_PER_FILE_MAX {
        return Err(Failure::new(
            exit::FAILED,
            format!("the file holds {} certificates", found.len()),
            format!(
                "give a file of 1 to {} CA certificates",
                limits::ANCHORS_PER_FILE_MAX
            ),
        ));
    }
    let mut rows = Vec::new();
    for der in &found {
        let row = bundles::add_anchor(
            &handle.store,
            actor.clone(),
            der,
            asked.label.as_deref(),
            &asked.profile,
            &asked.direction,
        );
        rows.push(row.await?);
    }
    Ok(rows)
}

pub async fn list(handle: &Handle) -> Result<Vec<AnchorRow>, Failure> {
    Ok(bundles::list_anchors(&handle.store).await?)
}

pub async fn export(handle: &Handle, asked: AnchorExport) -> Result<Vec<ExportedAnchor>, Failure> {
    Ok(bundles::export_anchors(&handle.store, asked.profile, asked.which).await?)
}

pub async fn remove(handle: &Handle, actor: Actor, asked: AnchorRm) -> Result<AnchorRow, Failure> {
    Ok(bundles::remove_anchor(&handle.store, actor, &asked.which).await?)
}
