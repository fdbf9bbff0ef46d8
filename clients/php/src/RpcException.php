<?php

declare(strict_types=1);

namespace Mubss\Crm;

/**
 * A call that was refused or came to nothing. `status` says which kind of failure, the message what is wrong, and
 * `violations` which fields of the request are at fault.
 */
final class RpcException extends \RuntimeException
{
    /** The call: "Balances/TopUp". */
    public string $method = '';

    /** The id by which the server's log knows the call; "" where the server never said it. */
    public string $requestId = '';

    /** The key of a write: sent again with the same request it never does the same twice. "" where there is none. */
    public string $idempotencyKey = '';

    /**
     * @param array<string, string> $violations what is wrong, by field
     * @param bool $isLasting whether it will fail the same way again: a wrong certificate, say
     */
    public function __construct(
        public readonly Status $status,
        string $message,
        public readonly array $violations = [],
        public readonly bool $isLasting = false,
    ) {
        parent::__construct($message, $status->value);
    }
}
