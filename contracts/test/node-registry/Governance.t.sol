// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Bounds} from "../../src/libraries/Bounds.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev What governance sets in the registry: releases and parameters.
contract RegistryGovernanceTest is RegistryFixture {
    function test_releases_are_approved_and_revoked() public {
        vm.expectRevert(INodeRegistry.ZeroReleaseVersion.selector);
        registry.approveRelease(RELEASE, 0);

        vm.expectEmit(address(registry));
        emit INodeRegistry.ReleaseApproved(RELEASE, 3);
        registry.approveRelease(RELEASE, 3);
        vm.assertEq(registry.getReleaseVersion(RELEASE), 3);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.ReleaseAlreadyApproved.selector, RELEASE, 3)
        );
        registry.approveRelease(RELEASE, 4);

        vm.expectEmit(address(registry));
        emit INodeRegistry.ReleaseRevoked(RELEASE);
        registry.revokeRelease(RELEASE);
        vm.assertEq(registry.getReleaseVersion(RELEASE), 0);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ReleaseNotApproved.selector, RELEASE));
        registry.revokeRelease(RELEASE);
    }

    function test_parameters_are_set_whole() public {
        INodeRegistry.Parameters memory parameters = _parameters();
        vm.assertEq(abi.encode(registry.getParameters()), abi.encode(parameters));

        registry.approveRelease(RELEASE, 9);
        parameters = INodeRegistry.Parameters(64, 1 days, 30 days, 9);
        vm.expectEmit(address(registry));
        emit INodeRegistry.ParametersSet(parameters);
        registry.setParameters(parameters);
        vm.assertEq(abi.encode(registry.getParameters()), abi.encode(parameters));
        registry.setParameters(INodeRegistry.Parameters(1, 1 minutes, 1 hours, 0));
    }

    function test_every_parameter_has_bounds() public {
        _outOfBounds(INodeRegistry.Parameters(0, 1 hours, 1 days, 0), "verifierQuorum", 0, 1, 64);
        _outOfBounds(INodeRegistry.Parameters(65, 1 hours, 1 days, 0), "verifierQuorum", 65, 1, 64);
        _outOfBounds(
            INodeRegistry.Parameters(1, 59, 1 days, 0), "challengeValidity", 59, 60, 86_400
        );
        _outOfBounds(
            INodeRegistry.Parameters(1, 86_401, 1 days, 0), "challengeValidity", 86_401, 60, 86_400
        );
        _outOfBounds(
            INodeRegistry.Parameters(1, 60, 3599, 0), "enrolmentWindow", 3599, 3600, 2_592_000
        );
        _outOfBounds(
            INodeRegistry.Parameters(1, 60, 2_592_001, 0),
            "enrolmentWindow",
            2_592_001,
            3600,
            2_592_000
        );
    }

    /// @dev The minimum never exceeds the newest release that there was.
    function test_the_minimum_version_is_that_of_a_release() public {
        _outOfBounds(INodeRegistry.Parameters(1, 60, 3600, 1), "minReleaseVersion", 1, 0, 0);
        registry.approveRelease(RELEASE, 9);
        registry.approveRelease(OTHER_RELEASE, 5);
        registry.revokeRelease(RELEASE);
        registry.setParameters(INodeRegistry.Parameters(1, 60, 3600, 9));
        _outOfBounds(INodeRegistry.Parameters(1, 60, 3600, 10), "minReleaseVersion", 10, 0, 9);
    }

    function _outOfBounds(
        INodeRegistry.Parameters memory parameters,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        registry.setParameters(parameters);
    }
}
