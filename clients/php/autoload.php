<?php

// Finds the classes of this client without Composer, and those of Debian's php-google-protobuf, which has no autoloader
// of its own and puts them where PHP's include_path looks, /usr/share/php.

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $path = str_replace('\\', '/', $class) . '.php';
    if (str_starts_with($class, 'Mubss\\Crm\\')) {
        foreach ([__DIR__ . '/src/' . substr($path, strlen('Mubss/Crm/')), __DIR__ . '/generated/' . $path] as $file) {
            if (is_file($file)) {
                require $file;
                return;
            }
        }
    } elseif (str_starts_with($class, 'Google\\Protobuf\\') || str_starts_with($class, 'GPBMetadata\\Google\\')) {
        $file = stream_resolve_include_path($path);
        if ($file !== false) {
            require $file;
        }
    }
});
