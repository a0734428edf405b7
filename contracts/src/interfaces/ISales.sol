// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What ImageMarketplace asks of PaymentManager
interface ISales {
    /// @notice Pulls `amount` from the buyer: a fee to the treasury, the rest to the seller's
    /// balance, which the seller withdraws. MARKETPLACE_ROLE only.
    function collectSale(address token, address buyer, address seller, uint256 amount) external;

    /// @notice Moves `amount` from the seller's balance to the buyer's, as far as it reaches; the
    /// buyer withdraws it. MARKETPLACE_ROLE only.
    /// @return refunded What the buyer got.
    function refundSale(address token, address buyer, address seller, uint256 amount)
        external
        returns (uint256 refunded);

    /// @notice Whether the network takes payment in this token.
    function isAllowedToken(address token) external view returns (bool);
}
