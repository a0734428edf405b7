// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev A node commits to the right root and says that there are fewer or more bytes under it.
contract StorageWrongLeafCountTest is StorageFixture {
    /// @dev With all the bytes at hand, it cannot answer for the last leaf of the wrong count: the
    /// path to it has another form.
    function test_a_wrong_size_cannot_be_answered_for() public {
        IStorageRegistry.Parameters memory parameters = _parameters();
        parameters.positions = 20;
        store.setParameters(parameters);
        bytes[] memory leaves = _leaves();
        uint256 tried;
        for (uint64 count = 9; count <= 16; ++count) {
            if (count == leaves.length) continue;
            IStorageRegistry.Offer memory offer = _offer(leaves);
            offer.size = count * 512;
            uint256 challengeId = _challengedFor(bytes32(uint256(count)), offer);
            uint64[] memory asked = store.leavesOf(challengeId);
            bool last;
            for (uint256 i = 0; i < asked.length; ++i) {
                if (asked[i] == count - 1) last = true;
                if (asked[i] >= leaves.length) asked[i] = uint64(leaves.length - 1);
            }
            if (!last) continue;
            ++tried;
            _refused(challengeId, Tree.answer(leaves, asked));
        }
        vm.assertGe(tried, 3);
    }

    /// @dev A last leaf that is said to be longer or shorter is another leaf.
    function test_a_wrong_last_leaf_cannot_be_answered_for() public {
        bytes[] memory leaves = Tree.leaves(1, 100, 1);
        IStorageRegistry.Offer memory offer = _offer(leaves);
        offer.size = 99;
        _refused(_challengedFor("shorter", offer), leaves[0]);
        offer.size = 101;
        _refused(_challengedFor("longer", offer), bytes.concat(leaves[0], hex"00"));
        offer.size = 100;
        store.respond(_challengedFor("right", offer), leaves[0]);
    }

    /// @dev With the wrong depth no leaf can be answered for.
    function test_another_depth_cannot_be_answered_for_at_all() public {
        bytes[] memory leaves = Tree.leaves(8, 512, 1);
        IStorageRegistry.Offer memory offer = _offer(leaves);
        offer.size = 4 * 512;
        uint256 challengeId = _challengedFor("shallow", offer);
        _refused(challengeId, Tree.answer(leaves, store.leavesOf(challengeId)));
        offer.size = 16 * 512;
        challengeId = _challengedFor("deep", offer);
        uint64[] memory asked = store.leavesOf(challengeId);
        for (uint256 i = 0; i < asked.length; ++i) {
            asked[i] %= 8;
        }
        _refused(challengeId, Tree.answer(leaves, asked));
    }

    function _challengedFor(bytes32 content, IStorageRegistry.Offer memory offer)
        private
        returns (uint256 challengeId)
    {
        bytes32 commitmentId = _commit(content, offer);
        _toBorder();
        challengeId = _issue(commitmentId);
        _post(challengeId);
    }

    function _refused(uint256 challengeId, bytes memory proof) private {
        (bool accepted,) = address(store).call(abi.encodeCall(store.respond, (challengeId, proof)));
        vm.assertFalse(accepted);
    }
}
