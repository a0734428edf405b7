// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {Governed} from "../../src/base/Governed.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {NetworkFixture} from "../base/NetworkFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev The emergency multisig has paused everything, and is gone: what comes in is refused, what is
/// in goes on and comes out. The invariants of the network do the same from random states.
contract PausedNetworkAttack is NetworkFixture {
    bytes32 private commitmentId;
    uint256 private challengeId;
    uint256 private jobId;
    uint256 private soldImage;
    uint256 private forSale;
    uint256 private slaId;
    uint256 private attachmentId;
    bytes32 private domain;

    function setUp() public override {
        super.setUp();
        _fund(OWNER);
        _fund(CUSTOMER);
        _fund(CHALLENGER);
        _activeNode(NODE, OWNER, OPERATOR);
        vm.prank(CUSTOMER);
        staking.delegate(NODE, 1000 ether, 0);
        IStorageRegistry.Offer memory offer = _offer();
        vm.prank(OPERATOR);
        commitmentId = storages.commit(NODE, keccak256("content"), offer);
        _name();
        _pass(2 * storages.getParameters().period);
        jobId = _runningJob(NODE, OPERATOR);
        slaId = slas.defineSla(_terms());
        vm.prank(CUSTOMER);
        slas.attachSla(jobId, slaId);
        vm.prank(OWNER);
        attachmentId = slas.attachSla(jobId, slaId);
        soldImage = _publish();
        forSale = _publish();
        vm.prank(CUSTOMER);
        images.purchase(soldImage, address(aleph), 1 ether);
        vm.prank(CHALLENGER);
        challengeId = storages.issueChallenge(commitmentId);

        address[] memory proxies = _proxies();
        vm.startPrank(EMERGENCY);
        for (uint256 i = 0; i < proxies.length; ++i) {
            Governed(proxies[i]).pause();
        }
        vm.stopPrank();
    }

    function test_nothing_comes_in() public {
        // Hashing would be taken for the call that is to be refused.
        IStorageRegistry.Offer memory offer = _offer();
        vm.startPrank(STRANGER);
        _refused();
        registry.registerNode(
            OTHER_NODE, OWNER, INodeRegistry.NodeType.Compute, _key(), "bafk", "eu"
        );
        _refused();
        domains.registerDomain("example.net");
        _refused();
        images.publishImage("bafk", "bafk", address(aleph), 1, new RoyaltySplit.Share[](0));
        _refused();
        slas.defineSla(_terms());
        vm.stopPrank();

        vm.startPrank(CUSTOMER);
        _refused();
        staking.delegate(NODE, 1000 ether, 0);
        _refused();
        jobs.createJob(_request());
        _refused();
        storages.issueChallenge(commitmentId);
        _refused();
        slas.attachSla(jobId, slaId);
        _refused();
        images.purchase(forSale, address(aleph), 1 ether);
        vm.stopPrank();

        vm.prank(OWNER);
        _refused();
        staking.stake(NODE, 1);
        vm.startPrank(OPERATOR);
        _refused();
        storages.commit(NODE, keccak256("other"), offer);
        _refused();
        storages.renew(commitmentId, offer);
        vm.stopPrank();
        vm.prank(_verifier(0));
        _refused();
        registry.enrolKey(NODE, OPERATOR, _key());
    }

    function test_what_is_in_goes_on_and_comes_out() public {
        // Storage: the round comes, the node answers, and earns the bond.
        _pass(storages.getParameters().beaconDelay + BEACON_PERIOD_S);
        uint64 round = storages.getChallenge(challengeId).round;
        beacon.submit(round, BeaconSigner.sign(round));
        bytes memory proof = Tree.answer(_leaves(), storages.leavesOf(challengeId));
        storages.respond(challengeId, proof);
        vm.prank(OWNER);
        storages.withdraw();
        vm.prank(OPERATOR);
        storages.remove(commitmentId);

        // The job: it proves, is paid, reported, stopped, and ends.
        _beat(jobId, OPERATOR);
        payments.settleJob(jobId);
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        vm.prank(OPERATOR);
        jobs.completeJob(jobId);
        payments.settleJob(jobId);
        slas.closeSla(attachmentId);

        // Sales and names.
        vm.prank(OWNER);
        images.revokeImage(soldImage);
        vm.prank(CUSTOMER);
        images.claimRefund(soldImage);
        vm.startPrank(OWNER);
        domains.mapDomain(domain, IDomainRegistry.TargetKind.Instance, keccak256("target"));
        domains.registerDomain("example.org");
        domains.releaseDomain(domain);
        payments.withdraw(address(aleph));
        vm.stopPrank();
        vm.prank(CUSTOMER);
        payments.withdraw(address(aleph));

        // Stake, the delegators' too, and the node itself.
        uint256 shares = staking.getDelegation(NODE, CUSTOMER).shares;
        vm.prank(CUSTOMER);
        staking.undelegate(NODE, shares);
        vm.prank(OWNER);
        staking.unstake(NODE, MINIMUM_STAKE);
        _pass(staking.getParameters().unbondingPeriod);
        storages.close(commitmentId);
        vm.prank(CUSTOMER);
        staking.withdrawDelegation(NODE);
        vm.startPrank(OWNER);
        staking.withdraw(NODE);
        registry.deregisterNode(NODE);
        vm.stopPrank();
        vm.assertLe(aleph.balanceOf(address(staking)), 1e6);
        vm.assertEq(aleph.balanceOf(address(storages)), 0);
    }

    /// @dev Only governance can replace a multisig that has gone.
    function test_governance_ends_a_pause_without_the_multisig() public {
        vm.startPrank(address(timelock));
        jobs.grantRole(Roles.PAUSER, address(timelock));
        jobs.unpause();
        vm.stopPrank();
        _createJob();
    }

    function _refused() private {
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
    }

    function _leaves() private pure returns (bytes[] memory) {
        return Tree.leaves(12, 100, 1);
    }

    function _offer() private pure returns (IStorageRegistry.Offer memory) {
        return IStorageRegistry.Offer({
            root: Tree.rootOf(_leaves()),
            encoding: 0,
            size: Tree.sizeOf(_leaves()),
            replicas: 1,
            periods: 30
        });
    }

    function _terms() private pure returns (ISLAManager.Terms memory) {
        return ISLAManager.Terms({
            period: 1 hours,
            periods: 100,
            downtimeMax: 60,
            creditBps: 1000,
            slashAmount: 10 ether,
            customerBps: 1000,
            documentHash: 0
        });
    }

    function _publish() private returns (uint256) {
        vm.prank(OWNER);
        return images.publishImage(
            "bafkimage", "bafklicence", address(aleph), 1 ether, new RoyaltySplit.Share[](0)
        );
    }

    function _name() private {
        domain = domains.domainIdOf("example.org");
        vm.prank(OWNER);
        (uint256 claimId,) = domains.registerDomain("example.org");
        for (uint256 i = 0; i < domains.getParameters().witnessQuorum; ++i) {
            vm.prank(_dnsWitness(i));
            domains.verify(claimId);
        }
    }
}
