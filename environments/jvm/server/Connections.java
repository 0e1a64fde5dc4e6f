package io.fission.server;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;

/**
 * Accepts connections; each has a thread of its own, so that one that is idle, or whose function waits, holds up no other. Ends
 * when all that were begun are answered.
 */
final class Connections {
    /** Connections at the same time; more wait to be accepted. */
    private static final int MOST = 1000;
    private static final int BACKLOG = 511;

    /** What a connection tells of itself. */
    final class Busy {
        /** A request has come; false when none is served any more. */
        boolean begin() {
            synchronized (Connections.this) {
                if (ending) {
                    return false;
                }
                serving++;
                return true;
            }
        }

        void end() {
            synchronized (Connections.this) {
                serving--;
                Connections.this.notifyAll();
            }
        }
    }

    private final ServerSocketChannel listener;
    private final Service service;
    private final Semaphore room = new Semaphore(MOST);
    private final ExecutorService threads = Executors.newCachedThreadPool(work -> {
        Thread thread = new Thread(work, "request");
        thread.setDaemon(true);
        return thread;
    });
    private int serving;
    private boolean ending;

    private Connections(ServerSocketChannel listener, Service service) {
        this.listener = listener;
        this.service = service;
    }

    /** Listens on a unix socket, or on a TCP port where there is no path. */
    static Connections listen(Service service, String path, int port) throws IOException {
        boolean tcp = path.isEmpty();
        ServerSocketChannel listener =
            ServerSocketChannel.open(tcp ? StandardProtocolFamily.INET : StandardProtocolFamily.UNIX);
        if (tcp) {
            listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        }
        SocketAddress address = tcp ? new InetSocketAddress("0.0.0.0", port) : UnixDomainSocketAddress.of(path);
        listener.bind(address, BACKLOG);
        if (!tcp) {
            // The folder of the socket decides who may connect; the one who connects may be another user than this one.
            Files.setPosixFilePermissions(Path.of(path), PosixFilePermissions.fromString("rwxrwxrwx"));
        }
        return new Connections(listener, service);
    }

    /** Accepts until the listener is closed. */
    void run() throws IOException, InterruptedException {
        while (listener.isOpen()) {
            room.acquire();
            SocketChannel channel;
            try {
                channel = listener.accept();
            } catch (IOException error) {
                if (!listener.isOpen()) {
                    return;
                }
                // One that was gone before it was taken, or too many open files: others may do better.
                room.release();
                Thread.sleep(1);
                continue;
            }
            if (channel.getRemoteAddress() instanceof InetSocketAddress) {
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            }
            threads.execute(() -> {
                try {
                    service.serve(channel, new Busy());
                } finally {
                    room.release();
                }
            });
        }
    }

    /** Accepts nothing more, and returns when what was begun is answered. */
    void stop() throws IOException, InterruptedException {
        listener.close();
        synchronized (this) {
            ending = true;
            while (serving > 0) {
                wait();
            }
        }
    }
}
