// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev OWNER has a name that is under way to CUSTOMER; OTHER_OWNER has one that CUSTOMER has
/// contested, and the time to answer is over. A claim waits for its last witness.
contract DomainRegistryAccessTest is AccessMatrix {
    bytes32 private domain;
    bytes32 private contested;
    uint256 private waiting;

    function setUp() public override {
        super.setUp();
        domain = domains.domainIdOf("example.org");
        contested = domains.domainIdOf("example.net");
        _verified(OTHER_OWNER, "example.net");
        _verified(CUSTOMER, "example.net");
        _pass(domains.getParameters().contestPeriod + 1);
        _verified(OWNER, "example.org");
        vm.prank(OWNER);
        domains.transferDomain(domain, CUSTOMER);
        vm.prank(STRANGER);
        (waiting,) = domains.registerDomain("example.com");
    }

    function _verified(address claimant, string memory name) private {
        vm.prank(claimant);
        (uint256 claimId,) = domains.registerDomain(name);
        for (uint256 i = 0; i < domains.getParameters().witnessQuorum; ++i) {
            vm.prank(_dnsWitness(i));
            domains.verify(claimId);
        }
    }

    function test_domain_registry() public {
        bytes4 notOwner = IDomainRegistry.NotDomainOwner.selector;
        _row("registerDomain(string)", abi.encode("example.info"));
        _row("verify(uint256)", abi.encode(waiting), DNS_WITNESS);
        _row("settleContest(bytes32)", abi.encode(contested));
        _row(
            "mapDomain(bytes32,uint8,bytes32)",
            abi.encode(domain, IDomainRegistry.TargetKind.Instance, keccak256("target")),
            OWNERS,
            notOwner
        );
        _row("transferDomain(bytes32,address)", abi.encode(domain, STRANGER), OWNERS, notOwner);
        _row("cancelTransfer(bytes32)", abi.encode(domain), OWNERS, notOwner);
        _row(
            "acceptDomain(bytes32)",
            abi.encode(domain),
            CUSTOMERS,
            IDomainRegistry.NotPendingOwner.selector
        );
        _row("releaseDomain(bytes32)", abi.encode(domain), OWNERS, notOwner);
        _row(
            "setParameters((uint32,uint64,uint64,uint64,uint64))",
            abi.encode(domains.getParameters()),
            PARAMETER
        );
        _initializeRow("initialize(address,(uint32,uint64,uint64,uint64,uint64))");
        _view("challengeOf(uint256)");
        _view("claimCount()");
        _view("domainIdOf(string)");
        _view("getClaim(uint256)");
        _view("getDomain(bytes32)");
        _view("getParameters()");
        _view("ownerOf(bytes32)");
        _view("resolve(bytes32)");
        _view("statusOf(bytes32)");
        _governedRows();
        _check(address(domains), "DomainRegistry");
    }
}
