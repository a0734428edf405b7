// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {Beacons} from "../script/Beacons.sol";
import {Deployer} from "../script/Deployer.sol";
import {Parameters} from "../script/Parameters.sol";
import {vm} from "../script/Vm.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {NetworkFixture} from "./base/NetworkFixture.sol";

/// @dev Reverts in a call of its own, so that a test can expect it.
contract ParametersReader {
    function check(string calldata path) external view {
        (Deployer.Settings memory settings, Parameters.Holders memory holders) =
            Parameters.read(path);
        Parameters.checkProduction(settings, holders);
    }

    function check(Deployer.Settings calldata settings, Parameters.Holders calldata holders)
        external
        pure
    {
        Parameters.checkProduction(settings, holders);
    }
}

/// @dev What production deploys, and that whoever deploys it keeps nothing.
contract DeploymentTest is NetworkFixture {
    ParametersReader private reader;
    Settings private settings;
    Parameters.Holders private holders;

    function setUp() public override {
        super.setUp();
        reader = new ParametersReader();
        (settings, holders) = _productionParameters(address(aleph));
    }

    function test_whoever_deploys_keeps_no_role() public view {
        bytes32[14] memory roles = _roles();
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < proxies.length; ++i) {
            for (uint256 j = 0; j < roles.length; ++j) {
                vm.assertFalse(IAccessControl(proxies[i]).hasRole(roles[j], address(this)));
            }
        }
        bytes32[4] memory ofTimelock = [
            bytes32(0),
            timelock.PROPOSER_ROLE(),
            timelock.CANCELLER_ROLE(),
            timelock.EXECUTOR_ROLE()
        ];
        for (uint256 i = 0; i < ofTimelock.length; ++i) {
            vm.assertFalse(timelock.hasRole(ofTimelock[i], address(this)));
        }
    }

    /// @dev Each role, and who holds it where; every other pair of a contract and one of these
    /// accounts has none.
    function test_roles_are_held_by_those_who_should() public view {
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < proxies.length; ++i) {
            _assertHolds(proxies[i], 0, address(timelock), true);
            _assertHolds(proxies[i], Roles.UPGRADER, address(timelock), true);
            _assertHolds(proxies[i], Roles.PARAMETER, address(timelock), true);
            _assertHolds(proxies[i], Roles.PAUSER, address(timelock), false);
            _assertHolds(proxies[i], Roles.PAUSER, EMERGENCY, true);
            _assertHolds(proxies[i], 0, EMERGENCY, false);
            _assertHolds(proxies[i], Roles.PARAMETER, EMERGENCY, false);

            bool isStaking = proxies[i] == address(staking);
            bool isSla = proxies[i] == address(slas);
            _assertHolds(proxies[i], Roles.SLASHER, COMMITTEE, isStaking || isSla);
            _assertHolds(proxies[i], Roles.SLASHER, address(storages), isStaking);
            _assertHolds(proxies[i], Roles.SLASHER, address(slas), isStaking);
            _assertHolds(proxies[i], Roles.REPORTER, REPORTER_ACCOUNT, isStaking);
            _assertHolds(
                proxies[i], Roles.STAKING_MANAGER, address(staking), proxies[i] == address(registry)
            );
            _assertHolds(
                proxies[i], Roles.PAYMENT_MANAGER, address(payments), proxies[i] == address(jobs)
            );
            _assertHolds(
                proxies[i], Roles.SLA_MANAGER, address(slas), proxies[i] == address(payments)
            );
            _assertHolds(
                proxies[i], Roles.MARKETPLACE, address(images), proxies[i] == address(payments)
            );
            _assertHolds(proxies[i], Roles.SCHEDULER, SCHEDULER, proxies[i] == address(jobs));
            _assertHolds(proxies[i], Roles.VERIFIER, _verifier(0), proxies[i] == address(registry));
            _assertHolds(proxies[i], Roles.WITNESS, _witness(0), isSla);
            _assertHolds(
                proxies[i], Roles.DNS_WITNESS, _dnsWitness(0), proxies[i] == address(domains)
            );
        }
        vm.assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), address(governor)));
        vm.assertFalse(timelock.hasRole(timelock.PROPOSER_ROLE(), EMERGENCY));
        vm.assertTrue(timelock.hasRole(timelock.CANCELLER_ROLE(), EMERGENCY));
        vm.assertTrue(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)));
        vm.assertEq(timelock.getMinDelay(), 48 hours);
    }

    function test_contracts_know_each_other() public view {
        vm.assertEq(address(jobs.getPaymentManager()), address(payments));
        vm.assertEq(payments.getWiring().jobs, address(jobs));
        vm.assertEq(payments.getWiring().delegations, address(staking));
        vm.assertEq(address(storages.getBeacon()), address(beacon));
        vm.assertEq(address(storages.getFaultPolicy()), address(faults));
        vm.assertEq(address(images.sales()), address(payments));
        vm.assertEq(governor.timelock(), address(timelock));
        vm.assertEq(address(governor.token()), address(aleph));
    }

    /// @dev The file in git names nobody: it cannot be deployed by mistake.
    function test_the_file_as_it_is_deploys_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(Parameters.AddressMissing.selector, "aleph"));
        reader.check("script/parameters/production.toml");
    }

    function test_a_test_network_deploys_from_its_file() public {
        (Settings memory ours, Parameters.Holders memory people) =
            Parameters.read("script/parameters/testnet.toml");
        Parameters.checkOrder(ours);
        ours.paymentManager.treasury = TREASURY;
        ours.stakingManager.treasury = TREASURY;
        people.emergency = EMERGENCY;
        Deployment memory all = _deployPublic(address(this), ours, people, Beacons.evmnet());
        vm.assertEq(all.aleph.balanceOf(address(this)), TOKEN_SUPPLY);
        vm.assertEq(all.timelock.getMinDelay(), ours.timelockDelay);
    }

    function test_a_development_network_is_one_accounts() public {
        Deployment memory all =
            _deployDevelopment(address(this), _developmentSettings(address(this)));
        all.nodeRegistry.pause();
        all.jobManager.setParameters(all.jobManager.getParameters());
        vm.assertEq(all.stakingManager.getParameters().minTotalStake, 10_000 ether);
    }

    // The order that must hold, and what else production must be.

    function test_production_is_accepted() public view {
        reader.check(settings, holders);
    }

    function test_stake_outlasts_every_way_to_a_slash() public {
        uint256 longest = uint256(settings.storageRegistry.beaconDelay)
            + settings.storageRegistry.beaconGrace + settings.storageRegistry.responseWindow
            + settings.slaManager.reportWindow + settings.slaManager.disputeWindow
            + settings.slaManager.resolutionWindow + settings.slaManager.applyWindow + 48 hours
            + 24 hours;
        settings.stakingManager.unbondingPeriod = uint64(longest + 1);
        reader.check(settings, holders);

        settings.stakingManager.unbondingPeriod = uint64(longest);
        vm.expectRevert(
            abi.encodeWithSelector(Parameters.UnbondingTooShort.selector, longest, longest)
        );
        reader.check(settings, holders);
    }

    function test_the_timelock_has_48_hours() public {
        settings.timelockDelay = 48 hours - 1;
        vm.expectRevert(
            abi.encodeWithSelector(Parameters.TimelockTooShort.selector, 48 hours - 1, 48 hours)
        );
        reader.check(settings, holders);
    }

    function test_no_vote_can_ask_for_an_answer_within_a_day() public {
        settings.storageFloors.responseWindow = 24 hours;
        vm.expectRevert(
            abi.encodeWithSelector(Parameters.ResponseWindowTooShort.selector, 24 hours, 24 hours)
        );
        reader.check(settings, holders);
    }

    function test_quorums_can_be_reached() public {
        holders.witnesses.pop();
        vm.expectRevert(abi.encodeWithSelector(Parameters.QuorumOutOfReach.selector, "witnesses"));
        reader.check(settings, holders);

        holders.witnesses.push(holders.witnesses[0]);
        vm.expectRevert(abi.encodeWithSelector(Parameters.QuorumOutOfReach.selector, "witnesses"));
        reader.check(settings, holders);
    }

    function test_nobody_is_left_out() public {
        settings.votes = address(0);
        vm.expectRevert(abi.encodeWithSelector(Parameters.AddressMissing.selector, "votes"));
        reader.check(settings, holders);

        settings.votes = address(aleph);
        holders.emergency = address(0);
        vm.expectRevert(abi.encodeWithSelector(Parameters.AddressMissing.selector, "emergency"));
        reader.check(settings, holders);

        holders.emergency = EMERGENCY;
        holders.reporters[0] = address(0);
        vm.expectRevert(abi.encodeWithSelector(Parameters.AddressMissing.selector, "reporters"));
        reader.check(settings, holders);
    }

    function _assertHolds(address target, bytes32 role, address account, bool holds) private view {
        vm.assertTrue(IAccessControl(target).hasRole(role, account) == holds);
    }

    function _roles() private pure returns (bytes32[14] memory) {
        return [
            bytes32(0),
            Roles.UPGRADER,
            Roles.PARAMETER,
            Roles.PAUSER,
            Roles.SCHEDULER,
            Roles.REPORTER,
            Roles.VERIFIER,
            Roles.WITNESS,
            Roles.DNS_WITNESS,
            Roles.SLASHER,
            Roles.STAKING_MANAGER,
            Roles.PAYMENT_MANAGER,
            Roles.SLA_MANAGER,
            Roles.MARKETPLACE
        ];
    }
}
