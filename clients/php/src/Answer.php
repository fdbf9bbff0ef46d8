<?php

declare(strict_types=1);

namespace Mubss\Crm;

/**
 * What comes back of one call, as curl hands it over: headers, messages, trailers; and what it all adds up to.
 *
 * curl gives trailers to the same function as headers. An answer without a message has its status in the headers.
 */
final class Answer
{
    /** Only these are kept, so that headers without end fill no memory. */
    private const KEPT = ['content-type', 'grpc-status', 'grpc-message', 'grpc-status-details-bin', 'request-id'];

    private int $http = 0;

    private bool $isHttp2 = false;

    /** @var array<string, string> */
    private array $headers = [];

    /** @var list<string> */
    private array $messages = [];

    private ?RpcException $fault = null;

    private readonly Frames $frames;

    public function __construct(int $maxOctets)
    {
        $this->frames = new Frames($maxOctets);
    }

    /** curl's header function: how much of the line was taken; less than all ends the call. */
    public function header(string $line): int
    {
        if (preg_match('~^HTTP/([0-9.]+) ([0-9]{3})~', $line, $found)) {
            [$this->isHttp2, $this->http, $this->headers] = [$found[1] === '2', (int) $found[2], []];
            if (!$this->isHttp2) {
                $this->fault = new RpcException(
                    Status::UNAVAILABLE,
                    "HTTP/$found[1] $found[2]; expected HTTP/2: no gRPC server listens there",
                    isLasting: true,
                );
                return 0;
            }
            return strlen($line);
        }
        [$name, $value] = explode(':', $line, 2) + [1 => ''];
        $name = strtolower(trim($name));
        if (in_array($name, self::KEPT, true)) {
            $this->headers[$name] = trim($value);
        }
        return strlen($line);
    }

    /** curl's write function, likewise. */
    public function body(string $piece): int
    {
        if (!$this->isGrpc()) {
            return strlen($piece); // somebody's page that says what is wrong; the HTTP status tells enough
        }
        try {
            array_push($this->messages, ...$this->frames->feed($piece));
        } catch (RpcException $fault) {
            $this->fault = $fault;
            return 0;
        }
        return strlen($piece);
    }

    /**
     * The messages that have come since it was last asked.
     *
     * @return list<string>
     */
    public function take(): array
    {
        [$taken, $this->messages] = [$this->messages, []];
        return $taken;
    }

    /** The id by which the server's log knows the call. */
    public function requestId(): string
    {
        return $this->headers['request-id'] ?? '';
    }

    /**
     * What went wrong; null where nothing did. A status that the server said comes before what curl makes of the end.
     *
     * @param int $errno of curl; 0 where the answer came to its end
     */
    public function failure(int $errno, string $error, bool $isLate): ?RpcException
    {
        if ($this->fault !== null) {
            return $this->fault;
        }
        if (isset($this->headers['grpc-status'])) {
            return $this->said($this->headers['grpc-status']);
        }
        if ($isLate || $errno === CURLE_OPERATION_TIMEDOUT) {
            return new RpcException(Status::DEADLINE_EXCEEDED, 'no answer in time');
        }
        if ($errno !== 0) {
            return self::ofCurl($errno, $error);
        }
        if ($this->http !== 200) {
            return new RpcException(Status::ofHttp($this->http), "HTTP status $this->http without a grpc-status");
        }
        if ($this->isGrpc()) { // curl is content with that where a server ends the connection right behind its answer
            return new RpcException(Status::UNAVAILABLE, 'the answer broke off before its grpc-status');
        }
        $type = $this->headers['content-type'] ?? 'none';
        return new RpcException(Status::UNKNOWN, 'no gRPC: the content-type is ' . substr($type, 0, 80));
    }

    private function isGrpc(): bool
    {
        $type = $this->headers['content-type'] ?? '';
        return $this->http === 200 && preg_match('~^application/grpc(?:[+;]|$)~', $type) === 1;
    }

    private function said(string $number): ?RpcException
    {
        $status = preg_match('~^[0-9]{1,4}$~', $number) ? Status::tryFrom((int) $number) : null;
        if ($status === Status::OK) {
            $isWhole = !$this->frames->isPartial();
            return $isWhole ? null : new RpcException(Status::INTERNAL, 'the last message ends too soon');
        }
        $message = self::text($this->headers['grpc-message'] ?? '');
        if ($status === null) {
            return new RpcException(Status::UNKNOWN, 'grpc-status ' . substr($number, 0, 20) . ", $message");
        }
        return new RpcException(
            $status,
            $message === '' ? $status->name : $message,
            Violations::read($this->headers['grpc-status-details-bin'] ?? ''),
        );
    }

    /** grpc-message is percent-encoded UTF-8; what isn't, is shown as far as it can be. */
    private static function text(string $encoded): string
    {
        $text = rawurldecode($encoded);
        return preg_match('//u', $text) ? $text : (string) preg_replace('~[^\x20-\x7e]~', '?', $text);
    }

    private static function ofCurl(int $errno, string $error): RpcException
    {
        if (preg_match('~stream [0-9]+ was not closed cleanly: \w+ \(err ([0-9]+)\)~', $error, $found)) {
            return new RpcException(Status::ofReset((int) $found[1]), $error);
        }
        // A certificate or a file of one: it is no better a moment later.
        $isLasting = in_array($errno, [51, 53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91], true);
        return new RpcException(Status::UNAVAILABLE, $error !== '' ? $error : curl_strerror($errno), [], $isLasting);
    }
}
