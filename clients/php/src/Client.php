<?php

declare(strict_types=1);

namespace Mubss\Crm;

use Google\Protobuf\Internal\Message;
use Mubss\Crm\V1\Methods;

/**
 * A client of mubss-crm: every call of proto/crm.proto by its name.
 *
 *     $crm = new Client('https://crm.example:50051', $token, caFile: '/etc/mubss/ca.pem');
 *     $balance = $crm->call('Balances/GetBalance', ['subscriber' => '999700000001']);
 *     foreach ($crm->stream('Billing/WatchActivity', ['id' => $id]) as $activity) { … }
 *
 * Requests are messages of Mubss\Crm\V1, or arrays of their fields. What goes wrong with a call is an RpcException; an
 * InvalidArgumentException says that there is no such call or field.
 */
final class Client
{
    private const PAUSE_MS = 100; // before the second attempt; each further one waits twice as long

    private readonly Transport $transport;

    private readonly string|\Closure $token;

    /**
     * @param string $address "https://host:port"; "http://" only on a loopback address
     * @param string|\Closure(): string $token of `mubss token issue`, or what says the one to use now
     * @param ?string $caFile PEM file of the authorities that are trusted; null: the system's
     * @param float $seconds deadline of a call that names none; of streams only where they name one
     * @param ?string $certificate PEM file of the client's own certificate, where the server asks for one
     * @param ?string $key PEM file of its key
     * @param int $attempts how often a call that may be repeated is tried while the server is UNAVAILABLE
     * @param int $maxOctets the longest message that is sent or taken, the server's crm.max_message_octets
     * @throws \InvalidArgumentException
     */
    public function __construct(
        string $address,
        #[\SensitiveParameter] string|\Closure $token,
        ?string $caFile = null,
        private readonly float $seconds = 10.0,
        ?string $certificate = null,
        ?string $key = null,
        private readonly int $attempts = 3,
        private readonly int $maxOctets = 1_048_576,
    ) {
        $this->transport = Transport::to($address, $caFile, $certificate, $key);
        $this->token = $token;
        self::deadline($seconds);
        if ($attempts < 1 || $maxOctets < 1) {
            throw new \InvalidArgumentException("attempts, maxOctets: $attempts, $maxOctets; expected 1 or more");
        }
    }

    /**
     * One answer to one request. A write without an idempotency key gets one: in the message itself, so that the same
     * message sent again is the same write.
     *
     * @param string $name "Balances/TopUp"
     * @param Message|array<string, mixed> $request
     * @param ?float $seconds all attempts together; null: the client's
     * @param ?string $requestId what the server's log calls it, 1 to 64 of A-Z a-z 0-9 . _ -; null: one by chance
     * @throws RpcException
     * @throws \InvalidArgumentException
     */
    public function call(
        string $name,
        Message|array $request = [],
        ?float $seconds = null,
        ?string $requestId = null,
    ): Message {
        [$form, $answer, $mayRepeat] = self::method($name, false);
        $request = self::request($name, $form, $request);
        $deadlineNs = self::deadline($seconds ?? $this->seconds);
        $headers = $this->headers($requestId);
        for ($attempt = 1;; $attempt++) {
            try {
                return $this->one($name, $request, $answer, $headers, $deadlineNs);
            } catch (RpcException $error) {
                $pauseMs = self::PAUSE_MS * 2 ** ($attempt - 1) + random_int(0, self::PAUSE_MS);
                $isInTime = hrtime(true) + $pauseMs * 1_000_000 < $deadlineNs;
                $isAway = $error->status === Status::UNAVAILABLE && !$error->isLasting;
                if (!$mayRepeat || !$isAway || !$isInTime || $attempt >= $this->attempts) {
                    throw $error;
                }
                usleep($pauseMs * 1000);
            }
        }
    }

    /**
     * Answers as they come. The call begins with the first one asked for; whoever stops reading cancels it. It is never
     * repeated by itself.
     *
     * @param string $name "Billing/WatchActivity"
     * @param Message|array<string, mixed> $request
     * @param ?float $seconds until its end; null: no deadline
     * @param ?string $requestId as with `call`
     * @return \Generator<int, Message>
     * @throws RpcException
     * @throws \InvalidArgumentException
     */
    public function stream(
        string $name,
        Message|array $request = [],
        ?float $seconds = null,
        ?string $requestId = null,
    ): \Generator {
        [$form, $answer] = self::method($name, true);
        $request = self::request($name, $form, $request);
        $deadlineNs = $seconds === null ? null : self::deadline($seconds);
        return $this->messages($name, $request, $answer, $this->headers($requestId), $deadlineNs);
    }

    /** Ends its connections; a later call makes new ones. */
    public function close(): void
    {
        $this->transport->close();
    }

    /** @return array<string, string> what var_dump shows: no token */
    public function __debugInfo(): array
    {
        return ['client' => 'mubss-crm'];
    }

    /** @param list<string> $headers */
    private function one(string $name, Message $request, string $answer, array $headers, int $deadlineNs): Message
    {
        $found = null;
        foreach ($this->messages($name, $request, $answer, $headers, $deadlineNs) as $message) {
            if ($found !== null) {
                throw self::told($name, $request, new RpcException(Status::INTERNAL, 'a second answer; expected one'));
            }
            $found = $message;
        }
        $none = new RpcException(Status::INTERNAL, 'no answer; expected one');
        return $found ?? throw self::told($name, $request, $none);
    }

    /**
     * @param list<string> $headers
     * @return \Generator<int, Message>
     */
    private function messages(
        string $name,
        Message $request,
        string $answer,
        array $headers,
        ?int $deadlineNs,
    ): \Generator {
        $path = '/' . Methods::PACKAGE . ".$name";
        try {
            $octets = $request->serializeToString();
            foreach ($this->transport->exchange($path, $octets, $headers, $deadlineNs, $this->maxOctets) as $one) {
                $message = new $answer();
                try {
                    $message->mergeFromString($one);
                } catch (\Exception) {
                    $text = strlen($one) . " octets; expected a message of $answer";
                    throw new RpcException(Status::INTERNAL, $text);
                }
                yield $message;
            }
        } catch (RpcException $error) {
            throw self::told($name, $request, $error);
        }
    }

    private static function told(string $name, Message $request, RpcException $error): RpcException
    {
        $error->method = $name;
        $error->idempotencyKey = method_exists($request, 'getIdempotencyKey') ? $request->getIdempotencyKey() : '';
        return $error;
    }

    /**
     * @return list<string>
     * @throws \InvalidArgumentException
     */
    private function headers(?string $requestId): array
    {
        $token = is_string($this->token) ? $this->token : ($this->token)();
        if (!preg_match('~\A[\x21-\x7e]{1,8000}\z~', $token)) {
            throw new \InvalidArgumentException('token: ' . strlen($token) . ' octets; expected visible ASCII');
        }
        $requestId ??= bin2hex(random_bytes(8));
        if (!preg_match('~\A[A-Za-z0-9._-]{1,64}\z~', $requestId)) {
            throw new \InvalidArgumentException('requestId: expected 1 to 64 of A-Z a-z 0-9 . _ -');
        }
        return [
            'Content-Type: application/grpc+proto',
            'TE: trailers',
            'grpc-accept-encoding: identity',
            'User-Agent: mubss-crm-php',
            'Expect:', // curl would wait for a 100 before longer requests
            "Authorization: Bearer $token",
            "x-request-id: $requestId",
        ];
    }

    /**
     * @return array{class-string<Message>, class-string<Message>, bool} request, answer, whether it may be repeated
     * @throws \InvalidArgumentException
     */
    private static function method(string $name, bool $isStream): array
    {
        $method = Methods::ALL[$name] ?? null;
        if ($method === null) {
            throw new \InvalidArgumentException("\"$name\": expected a call, like \"Balances/TopUp\"");
        }
        if ($method['stream'] !== $isStream) {
            throw new \InvalidArgumentException("$name: expected it by " . ($method['stream'] ? 'stream()' : 'call()'));
        }
        return [$method['request'], $method['answer'], $method['repeatable']];
    }

    /**
     * @param Message|array<string, mixed> $request
     * @throws \InvalidArgumentException
     */
    private static function request(string $name, string $form, Message|array $request): Message
    {
        if (is_array($request)) {
            try {
                $request = new $form($request);
            } catch (\Throwable $error) { // a field that there isn't, or a value that it can't hold
                throw new \InvalidArgumentException("$name: " . $error->getMessage(), 0, $error);
            }
        } elseif (!$request instanceof $form) {
            throw new \InvalidArgumentException("$name: a " . $request::class . "; expected a $form");
        }
        if (method_exists($request, 'setIdempotencyKey') && $request->getIdempotencyKey() === '') {
            $request->setIdempotencyKey(bin2hex(random_bytes(16)));
        }
        return $request;
    }

    /**
     * A time by hrtime, in nanoseconds.
     *
     * @throws \InvalidArgumentException
     */
    private static function deadline(float $seconds): int
    {
        if (!($seconds > 0 && $seconds <= 1_000_000)) {
            throw new \InvalidArgumentException("seconds: $seconds; expected more than 0 and at most 1,000,000");
        }
        return hrtime(true) + (int) ($seconds * 1e9);
    }
}
