//! Needs become evidence: CRLs, OCSP answers and issuers' certificates, fetched once for all who wait.
//! In: [`Need`]s of a judgment. Out: [`Evidence`] with what could be had. Each fetch is a task of its own
//! that goes on when nobody waits for it any more, so that a large list arrives for the next attempt;
//! failures are remembered for a while. Never done here: believing any of it. No lock is held while
//! something is awaited.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::limits::{
    AIA_KEPT, AIA_OCTETS_MAX, ANSWERS_KEPT_MAX, CRL_AGAIN_MIN, CRL_FETCH_TIMEOUT, CRL_OCTETS_MAX,
    CRL_REFRESH, CRLS_KEPT_MAX, EVIDENCE_ROUNDS_MAX, EVIDENCE_WAIT_MAX, FETCH_FAILED_KEPT,
    FETCH_TIMEOUT, LISTS_KEPT_MAX, LISTS_OCTETS_MAX, NEEDS_MAX, OCSP_OCTETS_MAX,
    STRANGERS_ORDERS_MAX,
};
use crate::trust::{
    Answers, CertId, Certificate, Crl, Evidence, Need, Tried, Waiting, read_crl, read_issuers,
};
use crate::world::{Timestamp, World};

use super::kept::{Item, Kept};
use super::{Fetched, Fetcher, NamedBy, Order, Validators};

/// What was fetched and is still good. Cheap to clone.
#[derive(Clone)]
pub struct EvidenceCache(Arc<Shared>);

struct Shared {
    fetcher: Fetcher,
    kept: Option<Kept>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What every judgment begins with.
    at_hand: Evidence,
    lists: HashMap<String, List>,
    answers: HashMap<CertId, (Arc<Answers>, Timestamp)>,
    issuers: HashMap<String, (Vec<Arc<Certificate>>, Timestamp)>,
    /// Not to be asked for again until then, and why.
    failed: HashMap<Need, (Timestamp, Arc<str>)>,
    flights: HashMap<Need, Flight>,
}

type Flight = watch::Receiver<Option<Tried>>;

/// What a URL of CRLs gave.
#[derive(Clone)]
struct List {
    /// The last one, and the one before it while that is good: what came over HTTP may be forged.
    crls: Vec<Arc<Crl>>,
    validators: Validators,
    /// When the server last said that it is right.
    at: Timestamp,
}

impl std::fmt::Debug for EvidenceCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EvidenceCache({:?})", self.0.fetcher)
    }
}

/// How far the questions of one judgment went.
pub struct Rounds {
    left: u32,
    began: crate::world::Monotonic,
}

impl EvidenceCache {
    /// `folder`: where lists outlive the process.
    pub fn new(fetcher: Fetcher, folder: Option<&Path>) -> Self {
        Self(Arc::new(Shared {
            fetcher,
            kept: folder.map(Kept::new),
            state: Mutex::default(),
        }))
    }

    fn world(&self) -> &World {
        self.0.fetcher.world()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known without asking anybody.
    pub fn at_hand(&self) -> Evidence {
        self.state().at_hand.clone()
    }

    /// Judges, fetches what is missing, judges again (decision 4): at most [`EVIDENCE_ROUNDS_MAX`] rounds,
    /// [`EVIDENCE_WAIT_MAX`] together. With `waiting` over, what is still missing then counts as unknown.
    /// None: judging broke off.
    pub async fn settle<T, J, F>(
        &self,
        mut evidence: Evidence,
        waiting: Waiting,
        judge: J,
        needs_of: impl Fn(&T) -> Vec<Need>,
    ) -> Option<T>
    where
        J: Fn(Evidence) -> F,
        F: Future<Output = Option<T>>,
    {
        let mut rounds = Rounds {
            left: EVIDENCE_ROUNDS_MAX,
            began: self.world().monotonic(),
        };
        evidence.set_waiting(Waiting::Possible);
        loop {
            let judged = judge(evidence.clone()).await?;
            if self
                .fetch(&mut rounds, &needs_of(&judged), &mut evidence)
                .await
            {
                continue;
            }
            if waiting == Waiting::Possible || needs_of(&judged).is_empty() {
                return Some(judged);
            }
            evidence.set_waiting(Waiting::Over);
            return judge(evidence).await;
        }
    }

    /// False: there is nothing new to ask for, or no time.
    async fn fetch(&self, rounds: &mut Rounds, needs: &[Need], evidence: &mut Evidence) -> bool {
        let mut new: Vec<Need> = Vec::new();
        for need in needs {
            if evidence.tried(need).is_none() && !new.contains(need) {
                new.push(need.clone());
            }
        }
        new.truncate(NEEDS_MAX);
        let spent = self.world().monotonic().since(rounds.began);
        let span = EVIDENCE_WAIT_MAX.saturating_sub(spent);
        if new.is_empty() || rounds.left == 0 || span.is_zero() {
            return false;
        }
        rounds.left -= 1;
        self.gather(&new, evidence, span).await;
        true
    }

    /// Fetches these, all at once, and waits no longer than `span`.
    async fn gather(&self, needs: &[Need], evidence: &mut Evidence, span: Duration) {
        let flights: Vec<Flight> = needs.iter().map(|need| self.flight(need)).collect();
        let landed = async {
            for mut flight in flights.clone() {
                // A task that broke off has no result.
                let _ended = flight.wait_for(Option::is_some).await;
            }
        };
        let _in_time = self.world().within(span, landed).await;
        for (need, flight) in needs.iter().zip(flights) {
            let landed = flight.borrow().clone();
            let tried = landed.unwrap_or_else(|| Tried::Failed("it is not here yet".into()));
            self.put(need, evidence);
            evidence.note(need.clone(), tried);
        }
    }

    /// What is there for the need, whether fetched now or before.
    fn put(&self, need: &Need, evidence: &mut Evidence) {
        let state = self.state();
        match need {
            Need::Crl(url) => {
                let list = state.lists.get(url);
                let crls = list.into_iter().flat_map(|list| list.crls.iter().cloned());
                crls.for_each(|crl| evidence.add_crl(crl));
            }
            Need::Ocsp { id, .. } => {
                if let Some((answers, _)) = state.answers.get(id) {
                    evidence.add_answers(id.clone(), Arc::clone(answers));
                }
            }
            Need::Issuer(url) => {
                let found = state.issuers.get(url);
                evidence.add_issuers(found.into_iter().flat_map(|(all, _)| all.iter().cloned()));
            }
        }
    }

    /// The fetch that is under way for this need, or a new one.
    fn flight(&self, need: &Need) -> Flight {
        let mut state = self.state();
        if let Some(flight) = state.flights.get(need)
            && (flight.borrow().is_some() || flight.has_changed().is_ok())
        {
            return flight.clone();
        }
        if matches!(need, Need::Issuer(_)) && state.flights.len() >= STRANGERS_ORDERS_MAX {
            let why = "too much is being fetched already".into();
            return watch::channel(Some(Tried::Failed(why))).1;
        }
        let (landed, flight) = watch::channel(None);
        state.flights.insert(need.clone(), flight.clone());
        drop(state);
        let (cache, need) = (self.clone(), need.clone());
        tokio::spawn(async move {
            let tried = cache.fly(&need).await;
            landed.send_replace(Some(tried));
            cache.state().flights.remove(&need);
        });
        flight
    }

    async fn fly(&self, need: &Need) -> Tried {
        let now = self.world().now();
        if let Some((until, why)) = self.state().failed.get(need)
            && *until > now
        {
            return Tried::Failed(Arc::clone(why));
        }
        let done = match need {
            Need::Crl(url) => self.fetch_list(url).await,
            Need::Ocsp { url, id } => self.fetch_answers(url, id).await,
            Need::Issuer(url) => self.fetch_issuers(url).await,
        };
        let mut state = self.state();
        match done {
            Ok(()) => {
                state.failed.remove(need);
                Tried::Got
            }
            Err(why) => {
                tracing::warn!(%need, %why, "evidence could not be fetched");
                state.failed.retain(|_, (until, _)| *until > now);
                let (until, why) = (now.plus(FETCH_FAILED_KEPT), Arc::<str>::from(why));
                state.failed.insert(need.clone(), (until, Arc::clone(&why)));
                Tried::Failed(why)
            }
        }
    }

    // ---- CRLs -----------------------------------------------------------------------------------

    async fn fetch_list(&self, url: &str) -> Result<(), String> {
        let now = self.world().now();
        let mut known = self.state().lists.get(url).cloned();
        if known.is_none() {
            known = self.load_list(url).await;
            let fresh = |list: &List| {
                let ends = list.crls.first().and_then(|crl| crl.next_update());
                ends.is_some_and(|end| end > now) && now.since(list.at) < CRL_REFRESH
            };
            if let Some(list) = &known {
                self.put_list(url, list.clone());
                if fresh(list) {
                    return Ok(());
                }
            }
        } else if known
            .as_ref()
            .is_some_and(|list| now.since(list.at) < CRL_AGAIN_MIN)
        {
            return Ok(());
        }
        let order = Order {
            known: known
                .as_ref()
                .map(|list| list.validators.clone())
                .unwrap_or_default(),
            ..Order::get(url, CRL_OCTETS_MAX, CRL_FETCH_TIMEOUT)
        };
        let fetched = self
            .0
            .fetcher
            .fetch(&order)
            .await
            .map_err(|error| error.to_string())?;
        match (fetched, known) {
            (Fetched::Same, Some(list)) => self.put_list(url, List { at: now, ..list }),
            (Fetched::Same, None) => return Err("nothing is at hand that could be the same".into()),
            (Fetched::New { octets, validators }, known) => {
                let item = Item {
                    octets,
                    validators,
                    at: now,
                };
                self.take_list(url, item, known).await?;
            }
        }
        Ok(())
    }

    async fn take_list(&self, url: &str, item: Item, known: Option<List>) -> Result<(), String> {
        let (kept, place, now) = (self.0.kept.clone(), url.to_owned(), item.at);
        let validators = item.validators.clone();
        let before = known.map(|list| list.crls).unwrap_or_default();
        let latest = before.iter().map(|crl| crl.this_update()).max();
        let read = tokio::task::spawn_blocking(move || {
            let crl = read_crl(&item.octets)?;
            // An old one sent again must not be what the next start finds.
            let is_old = latest.is_some_and(|latest| crl.this_update() < latest);
            if let Some(Err(error)) = kept
                .filter(|_| !is_old)
                .map(|kept| kept.save(&place, &item))
            {
                tracing::error!(%error, "a CRL cannot be kept on disk");
            }
            Ok::<_, String>(crl)
        });
        let crl = read
            .await
            .map_err(|_| "reading it broke off".to_owned())??;
        let crls = together(crl, before, now);
        self.put_list(
            url,
            List {
                crls,
                validators,
                at: now,
            },
        );
        Ok(())
    }

    async fn load_list(&self, url: &str) -> Option<List> {
        let (kept, place) = (self.0.kept.clone()?, url.to_owned());
        let load = move || {
            let item = kept.load(&place)?;
            let crl = read_crl(&item.octets).ok()?;
            Some(List {
                crls: vec![crl],
                validators: item.validators,
                at: item.at,
            })
        };
        tokio::task::spawn_blocking(load).await.ok()?
    }

    fn put_list(&self, url: &str, list: List) {
        let mut state = self.state();
        state.lists.insert(url.to_owned(), list);
        let size = |list: &List| list.crls.iter().map(|crl| crl.size()).sum::<usize>();
        while state.lists.len() > LISTS_KEPT_MAX
            || state.lists.values().map(size).sum::<usize>() > LISTS_OCTETS_MAX
        {
            let oldest = state.lists.iter().min_by_key(|(_, list)| list.at);
            let Some(oldest) = oldest
                .map(|(url, _)| url.clone())
                .filter(|oldest| oldest != url)
            else {
                break;
            };
            state.lists.remove(&oldest);
        }
        state.lay_out();
    }

    /// Asks anew for the lists that were last asked for an hour ago, so that mail need not wait for them.
    pub async fn refresh(&self) {
        let now = self.world().now();
        let due: Vec<Need> = {
            let state = self.state();
            let old = |(_, list): &(&String, &List)| now.since(list.at) >= CRL_REFRESH;
            let old = state.lists.iter().filter(old);
            old.map(|(url, _)| Need::Crl(url.clone())).collect()
        };
        for need in due {
            let mut flight = self.flight(&need);
            let _ended = flight.wait_for(Option::is_some).await;
        }
    }

    // ---- OCSP and AIA ---------------------------------------------------------------------------

    async fn fetch_answers(&self, url: &str, id: &CertId) -> Result<(), String> {
        let order = Order {
            body: Some(("application/ocsp-request", id.request())),
            ..Order::get(url, OCSP_OCTETS_MAX, FETCH_TIMEOUT)
        };
        let fetched = self
            .0
            .fetcher
            .fetch(&order)
            .await
            .map_err(|error| error.to_string())?;
        let Fetched::New { octets, .. } = fetched else {
            return Err("no answer came".to_owned());
        };
        let answers = Answers::parse(&octets).map_err(|error| error.to_string())?;
        let now = self.world().now();
        let until = answers.next_update().unwrap_or(now.plus(FETCH_FAILED_KEPT));
        let mut state = self.state();
        if state.answers.len() >= ANSWERS_KEPT_MAX {
            state.answers.retain(|_, (_, until)| *until > now);
        }
        if state.answers.len() >= ANSWERS_KEPT_MAX {
            state.answers.clear();
        }
        state.answers.insert(id.clone(), (answers, until));
        state.lay_out();
        Ok(())
    }

    async fn fetch_issuers(&self, url: &str) -> Result<(), String> {
        let now = self.world().now();
        if self
            .state()
            .issuers
            .get(url)
            .is_some_and(|(_, until)| *until > now)
        {
            return Ok(());
        }
        let order = Order {
            named_by: NamedBy::Anyone,
            ..Order::get(url, AIA_OCTETS_MAX, FETCH_TIMEOUT)
        };
        let fetched = self
            .0
            .fetcher
            .fetch(&order)
            .await
            .map_err(|error| error.to_string())?;
        let Fetched::New { octets, .. } = fetched else {
            return Err("no answer came".to_owned());
        };
        let read = tokio::task::spawn_blocking(move || read_issuers(&octets));
        let found = read.await.map_err(|_| "reading it broke off".to_owned())?;
        if found.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let mut state = self.state();
        if state.issuers.len() >= LISTS_KEPT_MAX {
            state.issuers.clear();
        }
        state
            .issuers
            .insert(url.to_owned(), (found, now.plus(AIA_KEPT)));
        Ok(())
    }
}

impl State {
    /// Lays out what every judgment begins with.
    fn lay_out(&mut self) {
        let lists = self
            .lists
            .values()
            .flat_map(|list| list.crls.iter().cloned());
        let mut evidence = Evidence::of(lists);
        for (id, (answers, _)) in &self.answers {
            evidence.add_answers(id.clone(), Arc::clone(answers));
        }
        self.at_hand = evidence;
    }
}

/// The new list and those before it that still run, the latest first. If the new one is forged, or an old one
/// sent again however often, the latest good one still counts.
fn together(new: Arc<Crl>, before: Vec<Arc<Crl>>, now: Timestamp) -> Vec<Arc<Crl>> {
    let runs = |crl: &Arc<Crl>| crl.next_update().is_some_and(|end| end >= now);
    let mut crls: Vec<Arc<Crl>> = before
        .into_iter()
        .filter(|crl| runs(crl) && crl.fingerprint() != new.fingerprint())
        .collect();
    crls.push(new);
    crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update()));
    crls.truncate(CRLS_KEPT_MAX);
    crls
}
