// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Governed} from "./base/Governed.sol";
import {IImageMarketplace} from "./interfaces/IImageMarketplace.sol";
import {ISales} from "./interfaces/ISales.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Roles} from "./libraries/Roles.sol";
import {RoyaltySplit} from "./libraries/RoyaltySplit.sol";

/// @title ImageMarketplace
/// @notice See {IImageMarketplace}.
contract ImageMarketplace is IImageMarketplace, Governed, ReentrancyGuardTransient {
    using SafeCast for uint256;

    uint256 private constant CID_BYTES_MAX = 128;
    uint256 private constant REFUND_PERIOD_S_MAX = 90 days;
    uint256 private constant CLAIM_PERIOD_S_MIN = 1 hours;
    uint256 private constant CLAIM_PERIOD_S_MAX = 180 days;

    /// @dev Bounds the loops over those who share in a sale, the publisher not counted.
    uint256 private constant ROYALTIES_MAX = 8;

    /// @custom:storage-location erc7201:aleph.storage.ImageMarketplace
    struct ImageMarketplaceStorage {
        ISales sales;
        Parameters parameters;
        uint256 count;
        mapping(uint256 imageId => Image) images;
        mapping(uint256 imageId => mapping(address buyer => Licence)) licences;
    }

    bytes32 private constant STORAGE_SLOT =
        0x0466f6f3e936de69ea2acaaa4ad0d4dff67169ebf8b54a2410f973a1671f3700;

    function initialize(address admin, ISales sales_, Parameters calldata parameters)
        external
        initializer
    {
        require(address(sales_) != address(0), ZeroAddress());
        __Governed_init(admin);
        _storage().sales = sales_;
        _setParameters(parameters);
    }

    // Publishers.

    /// @inheritdoc IImageMarketplace
    function publishImage(
        string calldata cid,
        string calldata licence,
        address token,
        uint128 price,
        RoyaltySplit.Share[] calldata royalties
    ) external whenNotPaused returns (uint256 imageId) {
        _checkCid(cid);
        _checkCid(licence);
        _checkRoyalties(royalties);

        ImageMarketplaceStorage storage $ = _storage();
        imageId = ++$.count;
        Image storage image = $.images[imageId];
        image.publisher = msg.sender;
        image.publishedAt = uint64(block.timestamp);
        image.cid = cid;
        image.licence = licence;
        for (uint256 i = 0; i < royalties.length; ++i) {
            image.royalties.push(royalties[i]);
        }
        $.licences[imageId][msg.sender].purchasedAt = uint64(block.timestamp);

        emit ImagePublished(imageId, msg.sender, cid, licence, royalties);
        _setPrice(imageId, image, token, price);
    }

    /// @inheritdoc IImageMarketplace
    function setPrice(uint256 imageId, address token, uint128 price) external {
        Image storage image = _forSale(imageId);
        require(msg.sender == image.publisher, NotPublisher(imageId, msg.sender));
        _setPrice(imageId, image, token, price);
    }

    /// @inheritdoc IImageMarketplace
    function revokeImage(uint256 imageId) external {
        Image storage image = _forSale(imageId);
        require(
            msg.sender == image.publisher || hasRole(Roles.PARAMETER, msg.sender),
            NotPublisher(imageId, msg.sender)
        );
        Parameters storage parameters = _storage().parameters;
        image.revokedAt = uint64(block.timestamp);
        image.refundsFrom = uint64(block.timestamp) - parameters.refundPeriod;
        image.refundsUntil = uint64(block.timestamp) + parameters.claimPeriod;

        emit ImageRevoked(imageId, image.refundsFrom, image.refundsUntil);
    }

    // Buyers.

    /// @inheritdoc IImageMarketplace
    function purchase(uint256 imageId, address token, uint128 priceMax)
        external
        whenNotPaused
        nonReentrant
    {
        ImageMarketplaceStorage storage $ = _storage();
        Image storage image = _forSale(imageId);
        uint128 price = image.price;
        require(token == image.token && price <= priceMax, PriceChanged(image.token, price));
        Licence storage licence = $.licences[imageId][msg.sender];
        require(licence.purchasedAt == 0, AlreadyPurchased(imageId, msg.sender));
        licence.purchasedAt = uint64(block.timestamp);
        licence.token = token;
        licence.paid = price;

        emit ImagePurchased(imageId, msg.sender, token, price);
        if (price == 0) return;
        require($.sales.isAllowedToken(token), TokenNotAllowed(token));
        uint256[] memory amounts = RoyaltySplit.parts(price, image.royalties);
        for (uint256 i = 0; i < amounts.length; ++i) {
            if (amounts[i] == 0) continue;
            $.sales.collectSale(token, msg.sender, _sellerAt(image, i), amounts[i]);
        }
    }

    /// @inheritdoc IImageMarketplace
    /// @dev Only PaymentManager knows how much comes back, so that is booked after the call;
    /// PaymentManager is trusted, and the guard keeps the token out.
    function claimRefund(uint256 imageId) external nonReentrant {
        ImageMarketplaceStorage storage $ = _storage();
        uint256 due = refundable(imageId, msg.sender);
        require(due != 0, NothingToRefund(imageId, msg.sender));
        Licence storage licence = $.licences[imageId][msg.sender];
        licence.ended = true;

        uint256 refunded =
            $.sales.refundSale(licence.token, msg.sender, $.images[imageId].publisher, due);
        require(refunded != 0, NothingToRefund(imageId, msg.sender));
        licence.refunded += refunded.toUint128();

        emit PurchaseRefunded(imageId, msg.sender, refunded);
    }

    // Governance.

    /// @inheritdoc IImageMarketplace
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc IImageMarketplace
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc IImageMarketplace
    function getImage(uint256 imageId) external view returns (Image memory) {
        return _storage().images[imageId];
    }

    /// @inheritdoc IImageMarketplace
    function imageCount() external view returns (uint256) {
        return _storage().count;
    }

    /// @inheritdoc IImageMarketplace
    function getLicence(uint256 imageId, address account) external view returns (Licence memory) {
        return _storage().licences[imageId][account];
    }

    /// @inheritdoc IImageMarketplace
    function hasLicence(uint256 imageId, address account) external view returns (bool) {
        Licence storage licence = _storage().licences[imageId][account];
        return licence.purchasedAt != 0 && !licence.ended;
    }

    /// @inheritdoc IImageMarketplace
    function sales() external view returns (ISales) {
        return _storage().sales;
    }

    /// @inheritdoc IImageMarketplace
    function refundable(uint256 imageId, address account) public view returns (uint256) {
        Image storage image = _storage().images[imageId];
        Licence storage licence = _storage().licences[imageId][account];
        bool isDue = image.revokedAt != 0 && licence.purchasedAt >= image.refundsFrom
            && block.timestamp <= image.refundsUntil;
        return isDue ? licence.paid - licence.refunded : 0;
    }

    // Inside.

    function _setPrice(uint256 imageId, Image storage image, address token, uint128 price) private {
        require((token == address(0)) == (price == 0), InvalidPrice());
        require(price == 0 || _storage().sales.isAllowedToken(token), TokenNotAllowed(token));
        image.token = token;
        image.price = price;

        emit PriceSet(imageId, token, price);
    }

    function _forSale(uint256 imageId) private view returns (Image storage image) {
        image = _storage().images[imageId];
        require(image.publisher != address(0), UnknownImage(imageId));
        require(image.revokedAt == 0, ImageIsRevoked(imageId));
    }

    /// @dev Who gets the part: the publisher's comes after all others.
    function _sellerAt(Image storage image, uint256 part) private view returns (address) {
        return part == image.royalties.length ? image.publisher : image.royalties[part].recipient;
    }

    function _checkCid(string calldata cid) private pure {
        uint256 sizeBytes = bytes(cid).length;
        require(sizeBytes != 0 && sizeBytes <= CID_BYTES_MAX, InvalidCid(sizeBytes, CID_BYTES_MAX));
    }

    function _checkRoyalties(RoyaltySplit.Share[] calldata royalties) private pure {
        uint256 count = royalties.length;
        require(count <= ROYALTIES_MAX, TooManyRoyalties(count, ROYALTIES_MAX));
        uint256 sum;
        for (uint256 i = 0; i < count; ++i) {
            require(
                royalties[i].recipient != address(0) && royalties[i].bps != 0, InvalidRoyalties()
            );
            sum += royalties[i].bps;
        }
        require(sum <= RoyaltySplit.BPS, InvalidRoyalties());
    }

    function _setParameters(Parameters calldata parameters) private {
        Bounds.check("refundPeriod", parameters.refundPeriod, 0, REFUND_PERIOD_S_MAX);
        Bounds.check("claimPeriod", parameters.claimPeriod, CLAIM_PERIOD_S_MIN, CLAIM_PERIOD_S_MAX);
        _storage().parameters = parameters;

        emit ParametersSet(parameters);
    }

    function _storage() private pure returns (ImageMarketplaceStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}
