// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {DrandBeacon} from "../../src/DrandBeacon.sol";
import {ImageMarketplace} from "../../src/ImageMarketplace.sol";
import {JobManager} from "../../src/JobManager.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {PaymentManager} from "../../src/PaymentManager.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {StorageRegistry} from "../../src/StorageRegistry.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {Tree} from "../base/Tree.sol";

/// @title Random but sensible people all over the network
/// @dev Every action is made from inputs that must succeed, and none is tried that must not: with
/// `fail_on_revert`, a call that cannot be made when it should be is a finding.
contract NetworkHandler {
    struct Contracts {
        AlephToken aleph;
        NodeRegistry registry;
        StakingManager staking;
        JobManager jobs;
        PaymentManager payments;
        DrandBeacon beacon;
        StorageRegistry storages;
        ImageMarketplace images;
        address scheduler;
        address committee;
    }

    uint256 public constant NODES = 3;
    uint256 public constant CUSTOMERS = 3;
    uint256 private constant CONTENTS = 2;
    uint256 private constant WAITING_MAX = 32;
    uint128 private constant PRICE_PER_HOUR = 3.6 ether;

    Contracts private all;

    /// @notice What an outside observer knows of bonds.
    uint256 public bondsPaid;
    uint256 public bondsWithdrawn;

    constructor(Contracts memory contracts) {
        all = contracts;
    }

    // Nodes and their stake.

    function join(uint256 seed, uint256 amount) external {
        uint256 i = seed % NODES;
        if (!_isRegistered(nodeId(i))) {
            vm.prank(operator(i));
            all.registry
                .registerNode(
                    nodeId(i), owner(i), INodeRegistry.NodeType.Storage, _key(), "bafk", "eu"
                );
        }
        amount = 1 + amount % 250_000 ether;
        if (all.aleph.balanceOf(owner(i)) < amount) return;
        vm.prank(owner(i));
        all.staking.stake(nodeId(i), amount);
    }

    function activate(uint256 seed) external {
        uint256 i = seed % NODES;
        if (!_isRegistered(nodeId(i)) || all.registry.isNodeActive(nodeId(i))) return;
        uint256 required = all.staking.getParameters().minTotalStake;
        if (all.staking.getStake(nodeId(i)).matured < required) return;
        all.staking.activate(nodeId(i));
    }

    function unstake(uint256 seed, uint256 amount) external {
        // Seldom, or nothing ever grows.
        if (seed % 4 != 0) return;
        uint256 i = (seed / 4) % NODES;
        uint256 staked = all.staking.getStakeOf(nodeId(i), owner(i)).total;
        if (staked == 0) return;
        if (all.staking.getUnstakings(nodeId(i), owner(i)).length >= WAITING_MAX) return;
        vm.prank(owner(i));
        all.staking.unstake(nodeId(i), 1 + amount % staked);
    }

    function withdrawStake(uint256 seed) external {
        uint256 i = seed % NODES;
        if (!_anyReady(all.staking.getUnstakings(nodeId(i), owner(i)))) return;
        vm.prank(owner(i));
        all.staking.withdraw(nodeId(i));
    }

    function deregister(uint256 seed) external {
        if (seed % 8 != 0) return;
        uint256 i = (seed / 8) % NODES;
        if (!_isRegistered(nodeId(i)) || all.registry.isNodeActive(nodeId(i))) return;
        vm.prank(owner(i));
        all.registry.deregisterNode(nodeId(i));
    }

    function slash(uint256 seed, uint256 amount) external {
        if (seed % 8 != 0) return;
        vm.prank(all.committee);
        all.staking
            .slash(
                nodeId((seed / 8) % NODES),
                amount % 50_000 ether,
                customer(seed % CUSTOMERS),
                1000,
                keccak256("by decision")
            );
    }

    // Delegators.

    function delegate(uint256 seed, uint256 amount) external {
        bytes32 node = nodeId(seed % NODES);
        address account = customer((seed >> 64) % CUSTOMERS);
        amount = 1 ether + amount % 10_000 ether;
        if (!_isRegistered(node) || all.aleph.balanceOf(account) < amount) return;
        vm.prank(account);
        try all.staking.delegate(node, amount, 0) {}
        catch (bytes memory reason) {
            // The pool was slashed almost to nothing, and begins anew.
            _assertReason(reason, IStakingManager.FormerGeneration.selector);
        }
    }

    function undelegate(uint256 seed) external {
        bytes32 node = nodeId(seed % NODES);
        address account = customer((seed >> 64) % CUSTOMERS);
        uint256 shares = all.staking.getDelegation(node, account).shares;
        if (shares == 0) return;
        if (all.staking.getUndelegations(node, account).length >= WAITING_MAX) return;
        vm.prank(account);
        all.staking.undelegate(node, shares);
    }

    function withdrawDelegation(uint256 seed) external {
        bytes32 node = nodeId(seed % NODES);
        address account = customer((seed >> 64) % CUSTOMERS);
        if (!_anyReady(all.staking.getUndelegations(node, account))) return;
        vm.prank(account);
        all.staking.withdrawDelegation(node);
    }

    // Jobs.

    function order(uint256 seed, bool priced) external {
        address account = customer(seed % CUSTOMERS);
        uint256 required = 24 * uint256(PRICE_PER_HOUR);
        if (all.aleph.allowance(account, address(all.payments)) < required) priced = false;
        if (all.aleph.balanceOf(account) < required) priced = false;
        vm.prank(account);
        all.jobs
            .createJob(
                IJobManager.JobRequest({
                    manifestHash: keccak256(abi.encode(seed)),
                    resources: IJobManager.Resources(1, 512, 1024, 0, 0),
                    token: priced ? address(all.aleph) : address(0),
                    pricePerHour: priced ? PRICE_PER_HOUR : 0,
                    attestedWithin: 0
                })
            );
    }

    function assign(uint256 seed) external {
        uint256[] memory open = all.jobs.getOpenJobs(0, 256);
        bytes32[] memory active = all.registry.getActiveNodes(0, 256);
        if (open.length == 0 || active.length == 0) return;
        vm.prank(all.scheduler);
        all.jobs.assignJob(open[seed % open.length], active[(seed >> 128) % active.length]);
    }

    function work(uint256 seed, uint256 how) external {
        uint256 jobId = _anyJob(seed);
        if (jobId == 0) return;
        IJobManager.Job memory job = all.jobs.getJob(jobId);
        if (job.status == IJobManager.JobStatus.Created) {
            if (how % 4 != 0) return;
            vm.prank(job.customer);
            all.jobs.stopJob(jobId);
        } else if (job.status == IJobManager.JobStatus.Assigned) {
            vm.prank(_operatorOf(job.nodeId));
            all.jobs.startJob(jobId);
        } else if (job.status == IJobManager.JobStatus.Running) {
            if (how % 8 > 1) return;
            vm.prank(how % 8 == 0 ? job.customer : _operatorOf(job.nodeId));
            if (how % 8 == 0) all.jobs.stopJob(jobId);
            else all.jobs.failJob(jobId, "no image");
        } else if (job.status == IJobManager.JobStatus.Stopping) {
            vm.prank(_operatorOf(job.nodeId));
            all.jobs.completeJob(jobId);
        }
    }

    function beat(uint256 seed, uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 900);
        uint256[] memory jobIds = all.jobs.getJobsOfNode(nodeId(seed % NODES), 0, 64);
        vm.prank(operator(seed % NODES));
        all.jobs.heartbeat(jobIds);
    }

    function expire(uint256 seed) external {
        uint256 jobId = _anyJob(seed);
        if (jobId == 0) return;
        try all.jobs.expireJob(jobId) {}
        catch (bytes memory reason) {
            bytes4 selector = bytes4(reason);
            vm.assertTrue(
                selector == IJobManager.TooEarly.selector
                    || selector == IJobManager.WrongJobStatus.selector
            );
        }
    }

    // Money.

    function settle(uint256 seed) external {
        uint256 jobId = _anyJob(seed);
        if (jobId != 0) all.payments.settleJob(jobId);
    }

    function cashOut(uint256 seed) external {
        address account = owner(seed % NODES);
        if (all.payments.withdrawable(address(all.aleph), account) == 0) return;
        vm.prank(account);
        all.payments.withdraw(address(all.aleph));
    }

    function changeAllowance(uint256 seed) external {
        vm.prank(customer(seed % CUSTOMERS));
        all.aleph.approve(address(all.payments), seed % 2 == 0 ? 0 : type(uint256).max);
    }

    function sellImage(uint256 seed, uint128 price) external {
        price = uint128(1 + price % 100 ether);
        address buyer = customer(seed % CUSTOMERS);
        if (all.aleph.allowance(buyer, address(all.payments)) < price) return;
        if (all.aleph.balanceOf(buyer) < price) return;
        vm.prank(owner(seed % NODES));
        uint256 imageId = all.images
            .publishImage(
                "bafkimage", "bafklicence", address(all.aleph), price, new RoyaltySplit.Share[](0)
            );
        vm.prank(buyer);
        all.images.purchase(imageId, address(all.aleph), price);
        if (seed % 3 != 0) return;
        vm.prank(owner(seed % NODES));
        all.images.revokeImage(imageId);
        vm.prank(buyer);
        all.images.claimRefund(imageId);
    }

    // Storage.

    function commit(uint256 seed) external {
        bytes32 node = nodeId(seed % NODES);
        bytes32 content = contentOf((seed >> 64) % CONTENTS);
        if (!all.registry.isNodeActive(node)) return;
        bytes32 commitmentId = all.storages.commitmentIdOf(node, content);
        if (block.timestamp < all.storages.getCommitment(commitmentId).endsAt) return;
        // Before the prank, which hashing would use up.
        IStorageRegistry.Offer memory offer = IStorageRegistry.Offer({
            root: Tree.rootOf(_leaves()),
            encoding: 0,
            size: Tree.sizeOf(_leaves()),
            replicas: 2,
            periods: 30
        });
        vm.prank(operator(seed % NODES));
        all.storages.commit(node, content, offer);
    }

    function challenge(uint256 seed) external {
        bytes32 commitmentId =
            all.storages.commitmentIdOf(nodeId(seed % NODES), contentOf((seed >> 64) % CONTENTS));
        if (all.storages.versionInForce(commitmentId) == 0) return;
        if (all.storages.getCommitment(commitmentId).openChallenges != 0) return;
        address account = customer((seed >> 128) % CUSTOMERS);
        uint256 bond = all.storages.getParameters().bond;
        if (all.aleph.balanceOf(account) < bond) return;
        vm.prank(account);
        all.storages.issueChallenge(commitmentId);
        bondsPaid += bond;
    }

    /// @dev Posts the round when it is due, and sometimes has the node answer.
    function answer(uint256 seed) external {
        uint256 challengeId = _anyChallenge(seed);
        if (challengeId == 0) return;
        IStorageRegistry.Challenge memory asked = all.storages.getChallenge(challengeId);
        if (asked.status != IStorageRegistry.ChallengeStatus.Open) return;
        uint64 due = all.beacon.GENESIS() + (asked.round - 1) * all.beacon.PERIOD();
        if (block.timestamp < due || block.timestamp > asked.roundBy) return;
        all.beacon.submit(asked.round, BeaconSigner.sign(asked.round));
        if (seed % 3 == 0) return;
        if (block.timestamp > all.beacon.postedAt(asked.round) + asked.responseWindow) return;
        all.storages
            .respond(challengeId, Tree.answer(_leaves(), all.storages.leavesOf(challengeId)));
    }

    function resolve(uint256 seed) external {
        uint256 challengeId = _anyChallenge(seed);
        if (challengeId == 0) return;
        try all.storages.resolveChallenge(challengeId) {}
        catch (bytes memory reason) {
            bytes4 selector = bytes4(reason);
            vm.assertTrue(
                selector == IStorageRegistry.TooEarly.selector
                    || selector == IStorageRegistry.ChallengeNotOpen.selector
            );
        }
    }

    function withdrawBonds(uint256 seed) external {
        address account = seed % 2 == 0 ? customer(seed % CUSTOMERS) : owner(seed % NODES);
        uint256 amount = all.storages.creditOf(account);
        if (amount == 0) return;
        vm.prank(account);
        all.storages.withdraw();
        bondsWithdrawn += amount;
    }

    // Time.

    function pass(uint256 seconds_, uint256 blocks) external {
        vm.warp(block.timestamp + seconds_ % 3 days);
        vm.roll(block.number + blocks % 4);
    }

    // What the invariants ask.

    function nodeId(uint256 i) public pure returns (bytes32) {
        return bytes32(i + 1);
    }

    function owner(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    function operator(uint256 i) public pure returns (address) {
        return address(uint160(0xB000 + i));
    }

    function customer(uint256 i) public pure returns (address) {
        return address(uint160(0xC000 + i));
    }

    function contentOf(uint256 i) public pure returns (bytes32) {
        return keccak256(abi.encode("content", i));
    }

    function _isRegistered(bytes32 node) private view returns (bool) {
        INodeRegistry.NodeStatus status = all.registry.getNode(node).status;
        return
            status != INodeRegistry.NodeStatus.None
                && status != INodeRegistry.NodeStatus.Deregistered;
    }

    /// @dev What a slash has left nothing of is cleared away without a payment.
    function _anyReady(IStakingManager.ThawInfo[] memory thaws) private view returns (bool) {
        for (uint256 i = 0; i < thaws.length; ++i) {
            if (thaws[i].withdrawableAt <= block.timestamp && thaws[i].amount != 0) return true;
        }
        return false;
    }

    function _anyJob(uint256 seed) private view returns (uint256) {
        uint256 count = all.jobs.jobCount();
        return count == 0 ? 0 : 1 + seed % count;
    }

    function _anyChallenge(uint256 seed) private view returns (uint256) {
        uint256 count = all.storages.challengeCount();
        return count == 0 ? 0 : 1 + seed % count;
    }

    function _operatorOf(bytes32 node) private pure returns (address) {
        return operator(uint256(node) - 1);
    }

    function _leaves() private pure returns (bytes[] memory) {
        return Tree.leaves(5, 100, 1);
    }

    function _assertReason(bytes memory reason, bytes4 selector) private pure {
        vm.assertEq(bytes32(bytes4(reason)), bytes32(selector));
    }

    function _key() private pure returns (INodeRegistry.AttestationKey memory) {
        return INodeRegistry.AttestationKey(
            0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
            0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
        );
    }
}
