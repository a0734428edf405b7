// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Beacons} from "../../script/Beacons.sol";
import {vm} from "../../script/Vm.sol";
import {StorageFaultPolicy} from "../../src/StorageFaultPolicy.sol";
import {StorageRegistry} from "../../src/StorageRegistry.sol";
import {IBeacon} from "../../src/interfaces/IBeacon.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakeSlasher} from "../../src/interfaces/IStakeSlasher.sol";
import {IStorageFaultPolicy} from "../../src/interfaces/IStorageFaultPolicy.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {Bounds} from "../../src/libraries/Bounds.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {StorageFixture} from "../base/StorageFixture.sol";

/// @dev What governance can set, and within which bounds.
contract StorageGovernanceTest is StorageFixture {
    IStorageRegistry.Parameters private changed;

    function test_the_storage_is_in_its_namespace() public view {
        bytes32 name = keccak256("aleph.storage.StorageRegistry");
        bytes32 slot = keccak256(abi.encode(uint256(name) - 1)) & ~bytes32(uint256(0xff));
        vm.assertEq(uint256(vm.load(address(store), slot)), uint160(address(aleph)));
    }

    function test_it_begins_with_what_it_was_given() public view {
        vm.assertEq(abi.encode(store.getParameters()), abi.encode(_parameters()));
        vm.assertEq(abi.encode(store.getFloors()), abi.encode(_floors()));
        vm.assertEq(address(store.getBeacon()), address(beacon));
        vm.assertEq(address(store.getFaultPolicy()), address(policy));
    }

    function test_it_is_initialized_once_and_through_a_proxy() public {
        StorageRegistry bare = new StorageRegistry();
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        bare.initialize(address(this), aleph, registry, staking, beacon, _parameters(), _floors());
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        store.initialize(address(this), aleph, registry, staking, beacon, _parameters(), _floors());
    }

    function test_no_part_of_it_is_zero() public {
        _zeroRefused(IERC20(address(0)), registry, staking, beacon);
        _zeroRefused(aleph, INodeRegistry(address(0)), staking, beacon);
        _zeroRefused(aleph, registry, IStakeSlasher(address(0)), beacon);
        _zeroRefused(aleph, registry, staking, IBeacon(address(0)));
        vm.expectRevert(IStorageRegistry.ZeroAddress.selector);
        store.setBeacon(IBeacon(address(0)));
        vm.expectRevert(IStorageRegistry.ZeroAddress.selector);
        store.setFaultPolicy(IStorageFaultPolicy(address(0)));
    }

    function test_rules_change_within_bounds() public {
        changed = _parameters();
        changed.bond = 0;
        _refused("bond", 0, 1, 1e24);
        changed.bond = 1e24 + 1;
        _refused("bond", 1e24 + 1, 1, 1e24);
        changed.bond = 1e24;
        changed.period = 0;
        _refused("period", 0, 1, 30 days);
        changed.period = 30 days + 1;
        _refused("period", 30 days + 1, 1, 30 days);
        changed.period = 30 days;
        changed.beaconDelay = 2 minutes - 1;
        _refused("beaconDelay", 2 minutes - 1, 2 minutes, 1 hours);
        changed.beaconDelay = 1 hours + 1;
        _refused("beaconDelay", 1 hours + 1, 2 minutes, 1 hours);
        changed.beaconDelay = 2 minutes;
        changed.beaconGrace = 0;
        _refused("beaconGrace", 0, 1, 7 days);
        changed.beaconGrace = 7 days + 1;
        _refused("beaconGrace", 7 days + 1, 1, 7 days);
        changed.beaconGrace = 7 days;
        changed.responseWindow = 24 hours - 1;
        _refused("responseWindow", 24 hours - 1, 24 hours, 14 days);
        changed.responseWindow = 14 days + 1;
        _refused("responseWindow", 14 days + 1, 24 hours, 14 days);
        changed.responseWindow = 24 hours;
        changed.positions = 0;
        _refused("positions", 0, 1, 20);
        changed.positions = 21;
        _refused("positions", 21, 1, 20);
        changed.positions = 20;
        changed.openPerCommitmentMax = 0;
        _refused("openPerCommitmentMax", 0, 1, 16);
        changed.openPerCommitmentMax = 17;
        _refused("openPerCommitmentMax", 17, 1, 16);
        changed.openPerCommitmentMax = 16;
        changed.openPerNodeMax = 0;
        _refused("openPerNodeMax", 0, 1, 1024);
        changed.openPerNodeMax = 1025;
        _refused("openPerNodeMax", 1025, 1, 1024);
        changed.openPerNodeMax = 1024;

        vm.expectEmit(address(store));
        emit IStorageRegistry.ParametersSet(changed);
        store.setParameters(changed);
        vm.assertEq(abi.encode(store.getParameters()), abi.encode(changed));
    }

    function test_floors_have_bounds() public {
        _floorsRefused("beaconDelay floor", 0, 1, 1 hours, 0, 1 days);
        _floorsRefused("beaconDelay floor", 2 hours, 1, 1 hours, 2 hours, 1 days);
        _floorsRefused("responseWindow floor", 0, 1, 14 days, 1 minutes, 0);
        _floorsRefused("responseWindow floor", 15 days, 1, 14 days, 1 minutes, 15 days);
    }

    function test_another_beacon_is_for_further_challenges() public {
        bytes32 commitmentId = _committed();
        uint256 before = _issue(commitmentId);
        IBeacon other = Beacons.development(1_700_000_000, 30);
        vm.expectEmit(address(store));
        emit IStorageRegistry.BeaconSet(other);
        store.setBeacon(other);
        uint256 after_ = _issue(commitmentId);
        vm.assertEq(address(store.getChallenge(after_).beacon), address(other));
        _post(before);
        store.respond(before, _answer(before));
    }

    function test_no_challenge_without_a_policy() public {
        StorageRegistry fresh = StorageRegistry(
            _proxy(
                address(new StorageRegistry()),
                abi.encodeCall(
                    StorageRegistry.initialize,
                    (address(this), aleph, registry, staking, beacon, _parameters(), _floors())
                )
            )
        );
        vm.expectRevert(IStorageRegistry.FaultPolicyMissing.selector);
        fresh.issueChallenge(0);
        fresh.grantRole(Roles.PARAMETER, address(this));
        vm.expectEmit(address(fresh));
        emit IStorageRegistry.FaultPolicySet(policy);
        fresh.setFaultPolicy(policy);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.CommitmentNotInForce.selector, bytes32(0))
        );
        fresh.issueChallenge(0);
    }

    function test_rules_are_governances() public {
        bytes memory denied = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, STRANGER, Roles.PARAMETER
        );
        vm.startPrank(STRANGER);
        vm.expectRevert(denied);
        store.setParameters(_parameters());
        vm.expectRevert(denied);
        store.setBeacon(beacon);
        vm.expectRevert(denied);
        store.setFaultPolicy(policy);
    }

    function _refused(bytes32 name, uint256 value, uint256 min, uint256 max) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        store.setParameters(changed);
    }

    function _floorsRefused(
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max,
        uint64 beaconDelay,
        uint64 responseWindow
    ) private {
        address implementation = address(new StorageRegistry());
        IStorageRegistry.Floors memory floors = IStorageRegistry.Floors(beaconDelay, responseWindow);
        bytes memory call = abi.encodeCall(
            StorageRegistry.initialize,
            (address(this), aleph, registry, staking, beacon, _parameters(), floors)
        );
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        _proxy(implementation, call);
    }

    function _zeroRefused(
        IERC20 token_,
        INodeRegistry registry_,
        IStakeSlasher staking_,
        IBeacon beacon_
    ) private {
        address implementation = address(new StorageRegistry());
        bytes memory call = abi.encodeCall(
            StorageRegistry.initialize,
            (address(this), token_, registry_, staking_, beacon_, _parameters(), _floors())
        );
        vm.expectRevert(IStorageRegistry.ZeroAddress.selector);
        _proxy(implementation, call);
    }
}

/// @dev What faults cost.
contract StorageFaultPolicyTest is StorageFixture {
    function test_a_fault_costs_its_price_and_then_nothing_for_a_while() public {
        bytes32 commitmentId = _committed();
        for (uint256 i = 0; i < 2; ++i) {
            _assertCost(commitmentId, FAULT_BASE, 2000);
            _fault(commitmentId);
            _assertCost(commitmentId, 0, 0);
            vm.warp(block.timestamp + FAULT_COOLDOWN_S - 1);
            _assertCost(commitmentId, 0, 0);
            vm.warp(block.timestamp + 1);
        }
        vm.assertEq(staking.slashableStake(NODE), STAKE - 2 * FAULT_BASE);
    }

    function test_no_fault_costs_more_than_a_share_of_the_stake() public {
        bytes32 commitmentId = _committed();
        staking.set(NODE, 1000 ether);
        _assertCost(commitmentId, 50 ether, 2000);
        staking.set(NODE, 0);
        _assertCost(commitmentId, 0, 2000);
        _fault(commitmentId);
        vm.assertEq(store.getCommitment(commitmentId).faults, 1);
    }

    function test_prices_have_bounds() public {
        _refused("base", 0, 1, 1e25, StorageFaultPolicy.Prices(0, 0, 1, 0));
        _refused("base", 1e25 + 1, 1, 1e25, StorageFaultPolicy.Prices(1e25 + 1, 0, 1, 0));
        _refused(
            "cooldown", 30 days + 1, 0, 30 days, StorageFaultPolicy.Prices(1, 30 days + 1, 1, 0)
        );
        _refused("stakeBpsMax", 0, 1, 10_000, StorageFaultPolicy.Prices(1, 0, 0, 0));
        _refused("stakeBpsMax", 10_001, 1, 10_000, StorageFaultPolicy.Prices(1, 0, 10_001, 0));
        _refused("challengerBps", 5001, 0, 5000, StorageFaultPolicy.Prices(1, 0, 1, 5001));
        new StorageFaultPolicy(
            store, staking, StorageFaultPolicy.Prices(1e25, 30 days, 10_000, 5000)
        );
    }

    function test_it_knows_whom_it_asks() public {
        vm.assertEq(abi.encode(policy.getPrices()), abi.encode(_prices()));
        vm.assertEq(address(policy.REGISTRY()), address(store));
        vm.assertEq(address(policy.STAKING()), address(staking));
        vm.expectRevert(StorageFaultPolicy.ZeroAddress.selector);
        new StorageFaultPolicy(IStorageRegistry(address(0)), staking, _prices());
        vm.expectRevert(StorageFaultPolicy.ZeroAddress.selector);
        new StorageFaultPolicy(store, IStakeSlasher(address(0)), _prices());
    }

    function testFuzz_a_cost_is_within_the_stakes_share(uint256 stake) public {
        bytes32 commitmentId = _commit();
        staking.set(NODE, stake);
        (uint256 amount,) = policy.faultCost(NODE, commitmentId);
        vm.assertLe(amount, stake / 20);
        vm.assertLe(amount, FAULT_BASE);
    }

    function _fault(bytes32 commitmentId) private {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        vm.warp(_respondBy(challengeId) + 1);
        store.resolveChallenge(challengeId);
    }

    function _assertCost(bytes32 commitmentId, uint256 amount, uint16 challengerBps) private view {
        (uint256 amount_, uint16 bps) = policy.faultCost(NODE, commitmentId);
        vm.assertEq(amount_, amount);
        vm.assertEq(bps, challengerBps);
    }

    function _refused(
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max,
        StorageFaultPolicy.Prices memory prices
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        new StorageFaultPolicy(store, staking, prices);
    }
}
