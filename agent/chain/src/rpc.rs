//! The JSON-RPC calls that this crate makes, and nothing else of the endpoint.
//!
//! Answers are read into structs with only the fields that are used, so that a chain with fields
//! or transaction kinds of its own (Arbitrum has both) is no obstacle.

use std::{
    borrow::Cow,
    error::Error,
    fmt::{self, Write as _},
    time::Duration,
};

use alloy::{
    primitives::{Address, B256, Bytes, U64, U256},
    rpc::client::RpcClient,
    transports::{RpcError as AlloyError, TransportError, TransportErrorKind, http::reqwest},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::ChainError;

/// No call waits longer for its whole answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// No connection takes longer to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What an endpoint says about an error is cut to this many characters.
const PROBLEM_CHARS_MAX: usize = 300;

/// Why the endpoint was of no use.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Nothing came back in time.
    #[error("no answer to {method}: {problem}")]
    Unreachable {
        /// The call.
        method: Cow<'static, str>,
        /// What the connection met; without the address, which may hold an access key.
        problem: String,
    },
    /// The endpoint answered with an error.
    #[error("{method} was refused: {message} (code {code})")]
    Refused {
        /// The call.
        method: Cow<'static, str>,
        /// The error's number.
        code: i64,
        /// The error's text.
        message: String,
        /// What the contract reverted with, if that is what happened.
        revert: Option<Vec<u8>>,
    },
    /// The answer is not of the expected form.
    #[error("{method} was answered with something else: {problem}")]
    Malformed {
        /// The call.
        method: Cow<'static, str>,
        /// What does not fit.
        problem: String,
    },
    /// It is another chain than the configured one.
    #[error("the endpoint serves chain {found}, the configuration names chain {wanted}")]
    WrongChain {
        /// The endpoint's chain id.
        found: u64,
        /// The configured chain id.
        wanted: u64,
    },
    /// It has the right id, but it is not the chain that the journal was written with.
    #[error("the endpoint's first block is not that of the chain this node has worked with")]
    OtherChain,
    /// A contract is not where the configuration says.
    #[error("there is no {contract} at {address}")]
    NoContract {
        /// The contract's name.
        contract: &'static str,
        /// Where it should be.
        address: aleph_types::Address,
    },
    /// A block was replaced while it was read.
    #[error("block {0} was replaced while it was read")]
    BlockGone(u64),
}

impl RpcError {
    /// What a person can do about it.
    pub fn next(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "check the network and rpc_url in [chain]; the node tries again by itself"
            }
            Self::Refused { .. } | Self::Malformed { .. } => {
                "check that rpc_url in [chain] is a full Ethereum JSON-RPC endpoint with enough \
                 quota; the node tries again by itself"
            }
            Self::WrongChain { .. } => "set rpc_url or chain_id in [chain] right and restart",
            Self::OtherChain => {
                "point rpc_url in [chain] at the former chain, or begin with an empty data disk"
            }
            Self::NoContract { .. } => "set the contracts' addresses in [chain] right and restart",
            Self::BlockGone(_) => "nothing: the node reads again by itself",
        }
    }

    /// What a contract reverted with, if that is what happened.
    pub(crate) fn revert(&self) -> Option<&[u8]> {
        match self {
            Self::Refused { revert, .. } => revert.as_deref(),
            _ => None,
        }
    }

    /// Whether the endpoint itself said no, as opposed to being unreachable.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// A block's header, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    number: U64,
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    timestamp: U64,
    base_fee_per_gas: Option<U256>,
}

impl Header {
    pub(crate) fn number(&self) -> u64 {
        self.number.to()
    }

    pub(crate) fn timestamp_s(&self) -> u64 {
        self.timestamp.to()
    }

    pub(crate) fn base_fee_wei(&self) -> u128 {
        self.base_fee_per_gas.map_or(0, |fee| fee.saturating_to())
    }
}

/// A contract's event, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Log {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
}

/// What became of a transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub(crate) transaction_hash: B256,
    pub(crate) block_hash: B256,
    block_number: U64,
    status: U64,
    gas_used: U64,
}

impl Receipt {
    pub(crate) fn block_number(&self) -> u64 {
        self.block_number.to()
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.status == U64::ONE
    }

    pub(crate) fn gas_used(&self) -> u64 {
        self.gas_used.to()
    }
}

/// A call to a contract that is simulated, not sent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Address>,
    pub(crate) to: Address,
    pub(crate) data: &'a Bytes,
}

/// The endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    client: RpcClient,
}

impl Rpc {
    pub(crate) fn new(url: &str) -> Result<Self, ChainError> {
        // Neither error is quoted: both would repeat the address.
        let wrong =
            |problem: &str| ChainError::Config { setting: "rpc_url", problem: problem.to_owned() };
        let url = reqwest::Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| wrong("expected an address such as https://host:port/path"))?;
        let http = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|_| wrong("no HTTP client can be made for it"))?;
        Ok(Self { client: RpcClient::new_http_with_client(http, url) })
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, RpcError> {
        self.call::<_, U64>("eth_chainId", ()).await.map(|id| id.to())
    }

    pub(crate) async fn head(&self) -> Result<Header, RpcError> {
        self.call("eth_getBlockByNumber", ("latest", false)).await
    }

    pub(crate) async fn header(&self, number: u64) -> Result<Option<Header>, RpcError> {
        self.call("eth_getBlockByNumber", (U64::from(number), false)).await
    }

    pub(crate) async fn has_code(&self, address: Address) -> Result<bool, RpcError> {
        self.call::<_, Bytes>("eth_getCode", (address, "latest")).await.map(|code| !code.is_empty())
    }

    pub(crate) async fn logs(
        &self,
        addresses: &[Address],
        first: u64,
        last: u64,
    ) -> Result<Vec<Log>, RpcError> {
        let filter = json!({
            "address": addresses,
            "fromBlock": U64::from(first),
            "toBlock": U64::from(last),
        });
        self.call("eth_getLogs", (filter,)).await
    }

    /// The result of a call in the state after the block with this hash.
    pub(crate) async fn call_at(&self, call: &Call<'_>, block: B256) -> Result<Bytes, RpcError> {
        self.call("eth_call", (call, json!({ "blockHash": block }))).await
    }

    /// The result of a call in the state after the block with this number.
    pub(crate) async fn call_at_number(
        &self,
        call: &Call<'_>,
        number: u64,
    ) -> Result<Bytes, RpcError> {
        self.call("eth_call", (call, U64::from(number))).await
    }

    pub(crate) async fn estimate_gas(&self, call: &Call<'_>) -> Result<u64, RpcError> {
        self.call::<_, U64>("eth_estimateGas", (call,)).await.map(|gas| gas.to())
    }

    pub(crate) async fn priority_fee_wei(&self) -> Result<u128, RpcError> {
        self.call::<_, U256>("eth_maxPriorityFeePerGas", ()).await.map(|fee| fee.saturating_to())
    }

    /// How many transactions of `account` are in blocks.
    pub(crate) async fn nonce(&self, account: Address) -> Result<u64, RpcError> {
        self.call::<_, U64>("eth_getTransactionCount", (account, "latest"))
            .await
            .map(|count| count.to())
    }

    pub(crate) async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, RpcError> {
        // A transaction that waits in the pool has no block; some endpoints answer it anyway.
        let answer: Option<Value> = self.call("eth_getTransactionReceipt", (transaction,)).await?;
        let mined =
            answer.filter(|receipt| receipt.get("blockNumber").is_some_and(|n| !n.is_null()));
        mined.map(serde_json::from_value).transpose().map_err(|error| RpcError::Malformed {
            method: "eth_getTransactionReceipt".into(),
            problem: error.to_string(),
        })
    }

    pub(crate) async fn send_raw(&self, transaction: &Bytes) -> Result<B256, RpcError> {
        self.call("eth_sendRawTransaction", (transaction,)).await
    }

    async fn call<P, R>(&self, method: &'static str, params: P) -> Result<R, RpcError>
    where
        P: Serialize + Clone + fmt::Debug + Send + Sync + Unpin,
        R: DeserializeOwned + fmt::Debug + Send + Sync + Unpin + 'static,
    {
        self.client.request(method, params).await.map_err(|error| explain(method, error))
    }
}

fn explain(method: &'static str, error: TransportError) -> RpcError {
    let method = Cow::Borrowed(method);
    match error {
        AlloyError::ErrorResp(payload) => {
            // A revert without data is one too: `require(false)`.
            let revert = payload
                .message
                .contains("revert")
                .then(|| payload.as_revert_data().unwrap_or_default().to_vec());
            RpcError::Refused { method, code: payload.code, message: cut(&payload.message), revert }
        }
        AlloyError::Transport(TransportErrorKind::Custom(source)) => {
            let problem = match source.downcast::<reqwest::Error>() {
                Ok(http) => with_causes(&http.without_url()),
                Err(other) => with_causes(&*other),
            };
            RpcError::Unreachable { method, problem: cut(&problem) }
        }
        AlloyError::Transport(TransportErrorKind::HttpError(http)) => {
            RpcError::Unreachable { method, problem: format!("HTTP status {}", http.status) }
        }
        AlloyError::Transport(other) => {
            RpcError::Unreachable { method, problem: cut(&other.to_string()) }
        }
        other => RpcError::Malformed { method, problem: cut(&other.to_string()) },
    }
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn cut(text: &str) -> String {
    text.chars().take(PROBLEM_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_taken_and_none_is_repeated() {
        Rpc::new("http://127.0.0.1:8545").unwrap();
        for wrong in ["ws://host/secret", "127.0.0.1:8545/secret", "secret", "http://"] {
            let error = Rpc::new(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_failed_connection_does_not_tell_the_address() {
        // Port 9 of the loopback has no listener.
        let rpc = Rpc::new("http://127.0.0.1:9/secret").unwrap();
        let error = rpc.chain_id().await.unwrap_err();
        assert!(matches!(error, RpcError::Unreachable { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    }

    #[test]
    fn a_header_of_another_kind_of_chain_is_read() {
        let header: Header = serde_json::from_value(json!({
            "number": "0x10", "hash": B256::repeat_byte(1), "parentHash": B256::repeat_byte(2),
            "timestamp": "0x20", "l1BlockNumber": "0x3", "sendRoot": "0x", "transactions": [],
        }))
        .unwrap();
        assert_eq!((header.number(), header.timestamp_s(), header.base_fee_wei()), (16, 32, 0));
    }
}
