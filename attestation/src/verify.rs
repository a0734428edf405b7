//! From a transcript to a verdict, without I/O, clock or random numbers.
//!
//! The order is part of the design. First comes what is cheap and says whether this is an answer
//! to our question at all; evidence that fails there is not looked into further, because its
//! content is then anyone's. Then come the keys, then what was measured.

use aleph_types::{text::in_words, wire};
use p256::ecdsa::signature::Verifier as _;
use subtle::ConstantTimeEq as _;

use crate::certificate::{Certificate, EkPath, INTERMEDIATES_MAX, TpmModel, verify_ek_path};
use crate::digest::{ZERO, short};
use crate::error::Error;
use crate::eventlog::rules::{self, Problem, Rule};
use crate::eventlog::{EventKind, EventLog, difference};
use crate::evidence::{
    AK_ATTRIBUTES, EvidenceBody, PCRS_QUOTED, Transcript, extra_data, pcr_digest,
};
use crate::release::{Profile, ReleaseManifest};
use crate::roots::Roots;
use crate::structures::{AkPublic, Bank, EkPublic, Quote, parse_signature};
use crate::verdict::{AttestationKey, Check, CheckName, NodeFacts, Outcome, ReleaseFacts, Verdict};

/// Verifies a saved transcript, whatever the bytes are.
pub fn verify_encoded(
    transcript: &[u8],
    release: &ReleaseManifest,
    roots: &Roots,
    now_unix_s: Option<u64>,
) -> Verdict {
    match decode_transcript(transcript) {
        Ok(transcript) => verify(&transcript, release, roots, now_unix_s),
        Err(error) => {
            let mut verifier = Verifier::new(release);
            verifier.fail(CheckName::Encoding, in_words(&error));
            verifier.finish()
        }
    }
}

/// Reads a saved transcript.
///
/// # Errors
/// When the bytes are not exactly what saving a transcript gives.
pub fn decode_transcript(bytes: &[u8]) -> Result<Transcript, Error> {
    let transcript: Transcript = wire::decode(bytes)?;
    // The encoding knows more than one form of a number; only one of them is ever written.
    if wire::encode(&transcript)? != bytes {
        return Err(Error::WireForm);
    }
    Ok(transcript)
}

/// Verifies what a node answered to a challenge.
///
/// `now_unix_s` is the time that certificates must be valid at; none leaves their dates unchecked.
pub fn verify(
    transcript: &Transcript,
    release: &ReleaseManifest,
    roots: &Roots,
    now_unix_s: Option<u64>,
) -> Verdict {
    let mut verifier = Verifier::new(release);
    if let Some(answer) = verifier.answer(transcript) {
        let body = &transcript.evidence.body;
        verifier.keys(body, &answer, roots, now_unix_s);
        if verifier.pcrs(body, &answer.quote) {
            verifier.measurements(body, release);
        }
    }
    verifier.finish()
}

/// What could be parsed of an answer that is bound to its question.
struct Answer {
    ek: EkPublic,
    ak: AkPublic,
    quote: Quote,
}

struct Verifier {
    checks: Vec<Check>,
    node: Option<NodeFacts>,
    virtual_tpm: bool,
    release: ReleaseFacts,
}

impl Verifier {
    fn new(release: &ReleaseManifest) -> Self {
        Self {
            checks: Vec::new(),
            node: None,
            virtual_tpm: false,
            release: ReleaseFacts {
                name: release.name.clone(),
                version: release.version.clone(),
                profile: release.profile,
            },
        }
    }

    /// Whether this is an answer to the question that was asked, signed by the key it names.
    fn answer(&mut self, transcript: &Transcript) -> Option<Answer> {
        let body = &transcript.evidence.body;
        self.bound_to_question(transcript)?;
        let quote = self.parsed(CheckName::Quote, Quote::parse(&transcript.evidence.quote))?;
        self.pass(CheckName::Quote, "made by a TPM");
        let expected =
            extra_data(&transcript.nonce, &transcript.secret, &transcript.tls_spki_sha256, body);
        let expected = self.parsed(CheckName::Binding, expected)?;
        let is_bound = bool::from(quote.extra_data.as_slice().ct_eq(&expected.0));
        self.require(
            CheckName::Binding,
            is_bound,
            "the quote covers the question and every byte of the answer",
            "the quote is not over this evidence: it was changed on its way, or the node could not \
             open the credential",
        )?;
        let ek = self.parsed(CheckName::AkAttributes, EkPublic::parse(&body.identity.ek_public))?;
        let ak = self.parsed(CheckName::AkAttributes, AkPublic::parse(&body.identity.ak_public))?;
        self.ak_attributes(&ak);
        let signature = parse_signature(&transcript.evidence.signature);
        let signature = self.parsed(CheckName::Signature, signature)?;
        self.require(
            CheckName::Signature,
            ak.key.verify(&transcript.evidence.quote, &signature).is_ok(),
            "the attestation key signed the quote",
            "the attestation key did not sign this quote",
        )?;
        Some(Answer { ek, ak, quote })
    }

    fn bound_to_question(&mut self, transcript: &Transcript) -> Option<()> {
        let body = &transcript.evidence.body;
        let identity = self.parsed(CheckName::Identity, body.identity.sha256())?;
        self.require(
            CheckName::Identity,
            identity == transcript.identity_sha256,
            "the node that was challenged answers",
            "the answer is in the name of another node than the one that was challenged",
        )?;
        self.require(
            CheckName::Freshness,
            bool::from(body.nonce.ct_eq(&transcript.nonce)),
            "answers this nonce",
            "answers another nonce: the evidence is old or meant for someone else",
        )?;
        self.require(
            CheckName::Channel,
            body.tls_spki_sha256 == transcript.tls_spki_sha256,
            "made for the TLS key of this connection",
            &format!(
                "made for TLS key {}, but the connection's is {}: someone stands between",
                short(&body.tls_spki_sha256),
                short(&transcript.tls_spki_sha256)
            ),
        )
    }

    fn ak_attributes(&mut self, ak: &AkPublic) {
        let wrong: Vec<String> = AK_ATTRIBUTES
            .iter()
            .filter(|(name, wanted)| ak.attributes.has(name) != *wanted)
            .map(|(name, wanted)| if *wanted { format!("not {name}") } else { (*name).to_owned() })
            .collect();
        self.require(
            CheckName::AkAttributes,
            wrong.is_empty(),
            "restricted, bound to its TPM, ECDSA P-256 with SHA-256",
            &format!("the attestation key is {}: its signature proves nothing", wrong.join(", ")),
        );
    }

    fn keys(
        &mut self,
        body: &EvidenceBody,
        answer: &Answer,
        roots: &Roots,
        now_unix_s: Option<u64>,
    ) {
        let (x, y) = answer.ak.coordinates();
        self.node = Some(NodeFacts {
            node_id: body.identity.node_id,
            attestation_key: AttestationKey { x: x.into(), y: y.into() },
            tls_spki_sha256: body.tls_spki_sha256,
            clock: answer.quote.clock,
            secure_boot: None,
            firmware: None,
        });
        let qualified = answer.ak.name.qualified_in_endorsement_hierarchy();
        self.require(
            CheckName::QualifiedSigner,
            answer.quote.qualified_signer == qualified.as_bytes(),
            "the key is a primary key of the endorsement hierarchy",
            "the quote names another key than the attestation key under the endorsement hierarchy",
        );
        let node_id = answer.ek.node_id();
        self.require(
            CheckName::NodeId,
            node_id.is_ok_and(|node_id| node_id == body.identity.node_id),
            &format!("node {}", body.identity.node_id),
            "the node's identifier is not the hash of its endorsement key",
        );
        self.ek_certificate(body, &answer.ek, roots, now_unix_s);
    }

    fn ek_certificate(
        &mut self,
        body: &EvidenceBody,
        ek: &EkPublic,
        roots: &Roots,
        now_unix_s: Option<u64>,
    ) {
        if body.identity.ek_certificate.is_empty() {
            return self.fail(
                CheckName::EkCertificate,
                "the TPM has no certificate for its endorsement key".to_owned(),
            );
        }
        let certificate = Certificate::from_nv(&body.identity.ek_certificate);
        let Some(certificate) = self.parsed(CheckName::EkCertificate, certificate) else { return };
        self.require(
            CheckName::EkKey,
            certificate.rsa_key().is_some_and(|key| ek.is_key(&key)),
            "the certificate is for the endorsement key",
            "the certificate is for another key than the endorsement key",
        );
        match ek_path(&certificate, &body.identity.ek_intermediates, roots, now_unix_s) {
            Ok(path) => {
                let through = path.issuers.join(" ← ");
                self.pass(CheckName::EkCertificate, &format!("vouched for by {through}"));
                self.virtual_tpm(&path.tpm, &path.issuers);
            }
            Err(error) => {
                self.virtual_tpm(&certificate.tpm_model(), &[certificate.issuer()]);
                self.fail(CheckName::EkCertificate, in_words(&error));
            }
        }
    }

    fn virtual_tpm(&mut self, tpm: &TpmModel, issuers: &[String]) {
        let Some(maker) = virtual_maker(tpm, issuers) else { return };
        self.virtual_tpm = true;
        self.note(
            CheckName::VirtualTpm,
            format!("a virtual TPM ({maker}): it is only as good as the machine that runs it"),
        );
    }

    /// Whether the values in the body are those that were quoted.
    fn pcrs(&mut self, body: &EvidenceBody, quote: &Quote) -> bool {
        let listed: Vec<u8> = body.pcrs.iter().map(|pcr| pcr.pcr).collect();
        let selected = quote.selection == [Bank::sha256(&PCRS_QUOTED)];
        let detail = if selected {
            let stray = listed.iter().find(|pcr| !PCRS_QUOTED.contains(pcr));
            stray.map_or_else(
                || "the values listed are not those of the quoted PCRs, in order".to_owned(),
                |pcr| format!("a value for PCR {pcr} is listed, which the quote does not cover"),
            )
        } else {
            "the quote is over other PCRs or another bank than was asked for".to_owned()
        };
        let is_exact = self.require(
            CheckName::PcrSelection,
            selected && listed == PCRS_QUOTED,
            "SHA-256 bank, PCRs 0, 2, 4, 7, 9, 11 and 12",
            &detail,
        );
        let is_digest = self.require(
            CheckName::PcrDigest,
            quote.pcr_digest == pcr_digest(&body.pcrs).0,
            "the values are those that were quoted",
            "the values are not those that were quoted",
        );
        is_exact.and(is_digest).is_some()
    }

    fn measurements(&mut self, body: &EvidenceBody, release: &ReleaseManifest) {
        let Some(log) = self.event_log(body) else { return };
        let problems = rules::check(&log);
        self.rules(CheckName::EventPhases, Rule::Phase, &problems, "every event is in its place");
        self.rules(
            CheckName::EventData,
            Rule::Data,
            &problems,
            "the events' data is what was measured",
        );
        let unlike = body.pcrs.iter().find(|pcr| log.replay(pcr.pcr) != Some(pcr.value));
        let replayed = self.require(
            CheckName::EventReplay,
            unlike.is_none(),
            "the events give the quoted values",
            &unlike.map_or_else(String::new, |pcr| {
                format!("the events do not give the quoted value of PCR {}", pcr.pcr)
            }),
        );
        for (pcr, check) in [(4, CheckName::Pcr4), (9, CheckName::Pcr9), (11, CheckName::Pcr11)] {
            self.release_pcr(pcr, check, body, release, replayed.map(|()| &log));
        }
        self.require(
            CheckName::Pcr12,
            value_of(body, 12) == Some(ZERO),
            "nothing was loaded from beside the image",
            "a command line, credentials or extensions from beside the image were loaded",
        );
        self.firmware(&log, release);
    }

    fn event_log<'a>(&mut self, body: &'a EvidenceBody) -> Option<EventLog<'a>> {
        if body.event_log.is_empty() {
            self.fail(
                CheckName::EventLog,
                "the node sent no event log: its firmware keeps none, or securityfs is not mounted"
                    .to_owned(),
            );
            return None;
        }
        let log = self.parsed(CheckName::EventLog, EventLog::parse(&body.event_log))?;
        self.pass(CheckName::EventLog, &format!("{} events", log.events.len()));
        Some(log)
    }

    /// Rules broken in quoted PCRs refuse; elsewhere the log is not covered by the quote.
    fn rules(&mut self, name: CheckName, rule: Rule, problems: &[Problem], fine: &str) {
        let of_rule = problems.iter().filter(|problem| problem.rule == rule);
        let (quoted, others): (Vec<_>, Vec<_>) = of_rule
            .partition(|problem| PCRS_QUOTED.iter().any(|pcr| u32::from(*pcr) == problem.pcr));
        match quoted.first() {
            Some(problem) => self.fail(name, problem.to_string()),
            None => self.pass(name, fine),
        }
        if let Some(problem) = others.first() {
            self.note(name, format!("outside the quoted PCRs: {problem}"));
        }
    }

    fn release_pcr(
        &mut self,
        pcr: u8,
        name: CheckName,
        body: &EvidenceBody,
        release: &ReleaseManifest,
        replayed_log: Option<&EventLog<'_>>,
    ) {
        let Some(wanted) = release.pcrs.get(&pcr) else {
            // No manifest that was read is without one; one that was put together may be.
            return self.fail(name, format!("the release manifest has no value for PCR {pcr}"));
        };
        if value_of(body, pcr) == Some(*wanted) {
            return self.pass(name, "as the release predicts");
        }
        let failed_attempts = replayed_log
            .filter(|_| pcr == 4)
            .and_then(|log| difference::failed_attempts_before(log, release));
        if let Some(count) = failed_attempts {
            let detail =
                format!("the release alone was started, after {count} boot options failed");
            return self.pass(name, &detail);
        }
        let detail = match replayed_log {
            Some(log) => difference::explain(pcr, log, release),
            None => {
                format!("PCR {pcr}: the value is not the release's, and the log does not say why")
            }
        };
        self.fail(name, detail);
    }

    fn firmware(&mut self, log: &EventLog<'_>, release: &ReleaseManifest) {
        let (version, secure_boot) = (log.firmware_version(), log.secure_boot());
        let secure_boot_text = match secure_boot {
            Some(true) => "Secure Boot is on",
            Some(false) => "Secure Boot is off",
            None => "the log does not tell whether Secure Boot is on",
        };
        let version_text = version.as_deref().unwrap_or("unknown");
        let early = log.extended_into(2).filter(|event| event.kind != EventKind::SEPARATOR).count();
        let early_text = match early {
            0 => "nothing but firmware ran before the image".to_owned(),
            count => format!("{count} measurements of drivers before the image, not judged"),
        };
        self.note(
            CheckName::Firmware,
            format!("version {version_text}; {secure_boot_text}; {early_text}"),
        );
        if release.profile == Profile::Debug {
            self.note(
                CheckName::Profile,
                "a debug image: whoever has its second serial port controls it".to_owned(),
            );
        }
        if let Some(node) = &mut self.node {
            node.secure_boot = secure_boot;
            node.firmware = version;
        }
    }

    fn require(&mut self, name: CheckName, holds: bool, fine: &str, not: &str) -> Option<()> {
        if holds {
            self.pass(name, fine);
        } else {
            self.fail(name, not.to_owned());
        }
        holds.then_some(())
    }

    fn parsed<T>(&mut self, name: CheckName, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.fail(name, in_words(&error))).ok()
    }

    fn pass(&mut self, name: CheckName, detail: &str) {
        self.checks.push(Check { name, outcome: Outcome::Pass, detail: detail.to_owned() });
    }

    fn fail(&mut self, name: CheckName, detail: String) {
        self.checks.push(Check { name, outcome: Outcome::Fail, detail });
    }

    fn note(&mut self, name: CheckName, detail: String) {
        self.checks.push(Check { name, outcome: Outcome::Note, detail });
    }

    fn finish(self) -> Verdict {
        let accepted = self.checks.iter().all(|check| check.outcome != Outcome::Fail)
            && self.checks.iter().any(|check| check.name == CheckName::Pcr11);
        Verdict {
            accepted,
            checks: self.checks,
            node: self.node,
            virtual_tpm: self.virtual_tpm,
            release: self.release,
        }
    }
}

fn ek_path(
    certificate: &Certificate,
    intermediates: &[Vec<u8>],
    roots: &Roots,
    now_unix_s: Option<u64>,
) -> Result<EkPath, Error> {
    // One that cannot be read may not be needed; a path through the others decides.
    let intermediates: Vec<Certificate> = intermediates
        .iter()
        .take(INTERMEDIATES_MAX)
        .filter_map(|bytes| Certificate::from_nv(bytes).ok())
        .collect();
    verify_ek_path(certificate, &intermediates, roots, now_unix_s)
}

/// Who made a TPM that is a program; none for one that may be a chip.
fn virtual_maker(tpm: &TpmModel, issuers: &[String]) -> Option<&'static str> {
    /// Vendor identifiers, as in certificates, of TPMs that only exist as programs.
    const VIRTUAL_VENDORS: [(&str, &str); 4] = [
        ("id:00001014", "swtpm"),
        ("id:474F4F47", "Google"),
        ("id:564D5700", "VMware"),
        ("id:4D534654", "Microsoft"),
    ];
    let by_vendor = VIRTUAL_VENDORS
        .iter()
        .find(|(vendor, _)| tpm.manufacturer.eq_ignore_ascii_case(vendor))
        .map(|(_, maker)| *maker);
    let names = || issuers.iter().map(String::as_str).chain([tpm.model.as_str()]);
    let by_name = ["swtpm", "qemu"]
        .into_iter()
        .find(|maker| names().any(|name| name.to_ascii_lowercase().contains(maker)));
    by_vendor.or(by_name)
}

fn value_of(body: &EvidenceBody, pcr: u8) -> Option<aleph_types::Digest> {
    body.pcrs.iter().find(|value| value.pcr == pcr).map(|value| value.value)
}
