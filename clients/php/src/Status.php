<?php

declare(strict_types=1);

namespace Mubss\Crm;

/** The status codes of gRPC, by their own names. */
enum Status: int
{
    case OK = 0;
    case CANCELLED = 1;
    case UNKNOWN = 2;
    case INVALID_ARGUMENT = 3;
    case DEADLINE_EXCEEDED = 4;
    case NOT_FOUND = 5;
    case ALREADY_EXISTS = 6;
    case PERMISSION_DENIED = 7;
    case RESOURCE_EXHAUSTED = 8;
    case FAILED_PRECONDITION = 9;
    case ABORTED = 10;
    case OUT_OF_RANGE = 11;
    case UNIMPLEMENTED = 12;
    case INTERNAL = 13;
    case UNAVAILABLE = 14;
    case DATA_LOSS = 15;
    case UNAUTHENTICATED = 16;

    /** What an HTTP status means where there is no grpc-status: gRPC's http-grpc-status-mapping. */
    public static function ofHttp(int $http): self
    {
        return match ($http) {
            400 => self::INTERNAL,
            401 => self::UNAUTHENTICATED,
            403 => self::PERMISSION_DENIED,
            404 => self::UNIMPLEMENTED,
            429, 502, 503, 504 => self::UNAVAILABLE,
            default => self::UNKNOWN,
        };
    }

    /** What a reset of an HTTP/2 stream means: gRPC over HTTP/2, "Errors". */
    public static function ofReset(int $code): self
    {
        return match ($code) {
            7 => self::UNAVAILABLE, // REFUSED_STREAM
            8 => self::CANCELLED,
            11 => self::RESOURCE_EXHAUSTED, // ENHANCE_YOUR_CALM
            12 => self::PERMISSION_DENIED, // INADEQUATE_SECURITY
            default => self::INTERNAL,
        };
    }
}
