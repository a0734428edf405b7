// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RoyaltySplit} from "../libraries/RoyaltySplit.sol";
import {ISales} from "./ISales.sol";

/// @title Images of virtual machines, and who may use them
/// @notice A publisher offers an image, known by the CID of its content, under a licence and for a
/// price. What is sold never changes: another content, licence or split is another image. Only the
/// price does, and a buyer says what it will pay at most.
///
/// ```
///   publishImage ──▶ for sale ──▶ revokeImage ──▶ revoked
///                    setPrice
///
///   purchase ──▶ licensed, for good
///                   │ image revoked within refundPeriod of the purchase
///                   ▼ claimRefund, within claimPeriod of the revocation
///                refunded: no licence; claimRefund again for what could not be paid back yet
/// ```
///
/// The money moves through PaymentManager, straight from the buyer to the balances of those who
/// share in the sale; this contract never holds any. A refund comes out of the publisher's balance
/// alone and reaches as far as that does: whoever shares in a sale had no say in the revocation,
/// nor in being named. A CID says what is sold, not who made it: anybody can publish any content,
/// and buyers choose whom to pay.
interface IImageMarketplace {
    /// @notice The rules that governance can change. Times are in seconds.
    /// @param refundPeriod How old a purchase may be at a revocation to be refunded.
    /// @param claimPeriod How long after a revocation refunds can be claimed.
    struct Parameters {
        uint64 refundPeriod;
        uint64 claimPeriod;
    }

    /// @notice All that the chain knows of an image. Times are Unix times in seconds, 0 for "not
    /// yet".
    /// @param token What it is paid in; zero when it is free.
    /// @param price In the token's units.
    /// @param refundsFrom The first time of a purchase that is refunded.
    /// @param refundsUntil Until when refunds can be claimed.
    /// @param cid What is sold.
    /// @param licence CID of the licence's text.
    /// @param royalties Who shares in each sale; the publisher gets the rest.
    struct Image {
        address publisher;
        uint64 publishedAt;
        address token;
        uint64 revokedAt;
        uint128 price;
        uint64 refundsFrom;
        uint64 refundsUntil;
        string cid;
        string licence;
        RoyaltySplit.Share[] royalties;
    }

    /// @notice An account's purchase of an image.
    /// @param purchasedAt Unix time in seconds; 0 when it never purchased.
    /// @param ended Whether the licence ended with a refund.
    /// @param token What was paid in.
    /// @param paid How much was paid.
    /// @param refunded How much of it was paid back.
    struct Licence {
        uint64 purchasedAt;
        bool ended;
        address token;
        uint128 paid;
        uint128 refunded;
    }

    /// @notice An image is for sale.
    event ImagePublished(
        uint256 indexed imageId,
        address indexed publisher,
        string cid,
        string licence,
        RoyaltySplit.Share[] royalties
    );

    /// @notice An image has another price, or its first.
    event PriceSet(uint256 indexed imageId, address token, uint128 price);

    /// @notice An account may use an image.
    event ImagePurchased(
        uint256 indexed imageId, address indexed buyer, address token, uint128 price
    );

    /// @notice An image is no longer for sale. Purchases since `refundsFrom` are refunded.
    event ImageRevoked(uint256 indexed imageId, uint64 refundsFrom, uint64 refundsUntil);

    /// @notice A buyer got money back and may use the image no more.
    event PurchaseRefunded(uint256 indexed imageId, address indexed buyer, uint256 amount);

    /// @notice The rules changed.
    event ParametersSet(Parameters parameters);

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice A CID is empty or longer than the marketplace keeps.
    error InvalidCid(uint256 sizeBytes, uint256 sizeBytesMax);

    /// @notice More share in a sale than the marketplace pays.
    error TooManyRoyalties(uint256 count, uint256 max);

    /// @notice A share without recipient or part, or more than the whole.
    error InvalidRoyalties();

    /// @notice A price has a token, and a token a price.
    error InvalidPrice();

    /// @notice The network takes no payment in this token.
    error TokenNotAllowed(address token);

    /// @notice There is no such image.
    error UnknownImage(uint256 imageId);

    /// @notice Only the publisher may do this.
    error NotPublisher(uint256 imageId, address account);

    /// @notice The image was revoked.
    error ImageIsRevoked(uint256 imageId);

    /// @notice The account has purchased the image before.
    error AlreadyPurchased(uint256 imageId, address account);

    /// @notice This is the price, and it is not what the buyer said.
    error PriceChanged(address token, uint128 price);

    /// @notice The account has nothing to claim, or the publisher cannot pay now.
    error NothingToRefund(uint256 imageId, address account);

    /// @notice Offers an image. The publisher needs no purchase.
    /// @dev Taking in: stops while paused.
    /// @param cid What is sold, at most 128 bytes.
    /// @param licence CID of the licence's text, at most 128 bytes.
    /// @param token What it is paid in; zero when `price` is.
    /// @param price In the token's units.
    /// @param royalties At most 8, together at most 10 000 bps of the price.
    /// @return imageId Counts up from 1.
    function publishImage(
        string calldata cid,
        string calldata licence,
        address token,
        uint128 price,
        RoyaltySplit.Share[] calldata royalties
    ) external returns (uint256 imageId);

    /// @notice Changes what the next buyer pays. Publisher only.
    function setPrice(uint256 imageId, address token, uint128 price) external;

    /// @notice Purchases an image for the sender, once.
    /// @dev Taking in: stops while paused.
    /// @param token What the sender expects to pay in.
    /// @param priceMax What the sender is willing to pay.
    function purchase(uint256 imageId, address token, uint128 priceMax) external;

    /// @notice Takes an image off the market. The publisher, or PARAMETER_ROLE. Those who purchased
    /// it within `refundPeriod` can have their money back; all other licences stay.
    function revokeImage(uint256 imageId) external;

    /// @notice Gives the sender back what it paid for a revoked image, as far as the publisher's
    /// balance reaches, and ends its licence if that is anything at all. The sender withdraws it
    /// from PaymentManager.
    function claimRefund(uint256 imageId) external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev Binds later revocations only.
    function setParameters(Parameters calldata parameters) external;

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

    /// @notice The image with this id; all zero when there is none.
    function getImage(uint256 imageId) external view returns (Image memory);

    /// @notice How many images were ever published; the newest one's id.
    function imageCount() external view returns (uint256);

    /// @notice The account's purchase of an image; all zero when there is none.
    function getLicence(uint256 imageId, address account) external view returns (Licence memory);

    /// @notice Whether the account may use the image.
    function hasLicence(uint256 imageId, address account) external view returns (bool);

    /// @notice What a claim of the account could still bring, if the publisher can pay.
    function refundable(uint256 imageId, address account) external view returns (uint256);

    /// @notice Where the money moves: PaymentManager.
    function sales() external view returns (ISales);
}
