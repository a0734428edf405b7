// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IStakeSlasher} from "./interfaces/IStakeSlasher.sol";
import {IStorageFaultPolicy} from "./interfaces/IStorageFaultPolicy.sol";
import {IStorageRegistry} from "./interfaces/IStorageRegistry.sol";
import {Bounds} from "./libraries/Bounds.sol";

/// @title StorageFaultPolicy
/// @notice See {IStorageFaultPolicy}. A fault costs `base`, but no more than a share of the node's
/// stake: a dead disk with many contents on it is not the end of a node.
/// @dev Never changes: other prices are another contract, put in place by the registry's
/// `setFaultPolicy`. The price does not depend on the size, which a node could change while the
/// challenge is open.
contract StorageFaultPolicy is IStorageFaultPolicy {
    /// @notice The prices.
    /// @param base What a fault costs, in the token's units.
    /// @param cooldown How long further faults of the same commitment cost nothing, in seconds:
    /// the challenges that are open when bytes are lost are all about that one loss.
    /// @param stakeBpsMax The most of a node's stake that one fault costs, in hundredths of a
    /// percent.
    /// @param challengerBps The challenger's part, in hundredths of a percent. Whoever loses bytes
    /// can challenge itself, so that this much of the cost can be avoided.
    struct Prices {
        uint256 base;
        uint64 cooldown;
        uint16 stakeBpsMax;
        uint16 challengerBps;
    }

    uint256 private constant BASE_MIN = 1;
    uint256 private constant BASE_MAX = 1e25;
    uint256 private constant COOLDOWN_S_MAX = 30 days;
    uint256 private constant CHALLENGER_BPS_MAX = 5000;
    uint256 private constant BPS = 10_000;

    /// @notice Whose commitments are judged.
    IStorageRegistry public immutable REGISTRY;

    /// @notice The stake that pays.
    IStakeSlasher public immutable STAKING;

    uint256 private immutable BASE;
    uint64 private immutable COOLDOWN;
    uint16 private immutable STAKE_BPS_MAX;
    uint16 private immutable CHALLENGER_BPS;

    /// @notice A contract's address is zero.
    error ZeroAddress();

    constructor(IStorageRegistry registry, IStakeSlasher staking, Prices memory prices) {
        require(address(registry) != address(0) && address(staking) != address(0), ZeroAddress());
        Bounds.check("base", prices.base, BASE_MIN, BASE_MAX);
        Bounds.check("cooldown", prices.cooldown, 0, COOLDOWN_S_MAX);
        Bounds.check("stakeBpsMax", prices.stakeBpsMax, 1, BPS);
        Bounds.check("challengerBps", prices.challengerBps, 0, CHALLENGER_BPS_MAX);
        (REGISTRY, STAKING) = (registry, staking);
        (BASE, COOLDOWN) = (prices.base, prices.cooldown);
        (STAKE_BPS_MAX, CHALLENGER_BPS) = (prices.stakeBpsMax, prices.challengerBps);
    }

    /// @inheritdoc IStorageFaultPolicy
    function faultCost(bytes32 nodeId, bytes32 commitmentId)
        external
        view
        returns (uint256 amount, uint16 challengerBps)
    {
        IStorageRegistry.Commitment memory commitment = REGISTRY.getCommitment(commitmentId);
        if (commitment.faults != 0 && block.timestamp < commitment.lastFaultAt + COOLDOWN) {
            return (0, 0);
        }
        uint256 most = Math.mulDiv(STAKING.slashableStake(nodeId), STAKE_BPS_MAX, BPS);
        amount = Math.min(BASE, most);
        return (amount, CHALLENGER_BPS);
    }

    /// @notice The prices.
    function getPrices() external view returns (Prices memory) {
        return Prices(BASE, COOLDOWN, STAKE_BPS_MAX, CHALLENGER_BPS);
    }
}
