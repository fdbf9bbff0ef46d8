<?php

declare(strict_types=1);

namespace Mubss\Crm;

use Mubss\Crm\Details\BadRequest;
use Mubss\Crm\Details\StatusDetails;

/** Reads grpc-status-details-bin. */
final class Violations
{
    /**
     * What is wrong by field; empty where it doesn't say, or can't be read: status and message hold all the same.
     *
     * @return array<string, string>
     */
    public static function read(string $header): array
    {
        $octets = base64_decode(rtrim($header, '='), true);
        if ($octets === false || $octets === '') {
            return [];
        }
        $found = [];
        try {
            $status = new StatusDetails();
            $status->mergeFromString($octets);
            foreach ($status->getDetails() as $detail) {
                if (!str_ends_with($detail->getTypeUrl(), '/google.rpc.BadRequest')) {
                    continue;
                }
                $bad = new BadRequest();
                $bad->mergeFromString($detail->getValue());
                foreach ($bad->getFieldViolations() as $violation) {
                    $found[$violation->getField()] = $violation->getDescription();
                }
            }
        } catch (\Exception) {
            return []; // not what google.rpc.Status is
        }
        return $found;
    }
}
