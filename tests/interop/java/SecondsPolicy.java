import com.godaddy.asherah.crypto.CryptoPolicy;
import java.time.Instant;

/** The library's own policies know days and minutes; rotation tests want seconds. Everything else is its default. */
final class SecondsPolicy implements CryptoPolicy {
  private final long expireAfterSeconds;
  private final long checkIntervalSeconds;

  SecondsPolicy(long expireAfterSeconds, long checkIntervalSeconds) {
    this.expireAfterSeconds = expireAfterSeconds;
    this.checkIntervalSeconds = checkIntervalSeconds;
  }

  @Override
  public boolean isKeyExpired(Instant created) {
    return Instant.now().isAfter(created.plusSeconds(expireAfterSeconds));
  }

  @Override
  public long getRevokeCheckPeriodMillis() {
    return checkIntervalSeconds * 1000;
  }

  @Override
  public boolean canCacheSystemKeys() {
    return true;
  }

  @Override
  public boolean canCacheIntermediateKeys() {
    return true;
  }

  @Override
  public boolean canCacheSessions() {
    return false;
  }

  @Override
  public long getSessionCacheMaxSize() {
    return 1000;
  }

  @Override
  public long getSessionCacheExpireMillis() {
    return 7_200_000;
  }

  @Override
  public boolean notifyExpiredIntermediateKeyOnRead() {
    return false;
  }

  @Override
  public boolean notifyExpiredSystemKeyOnRead() {
    return false;
  }

  @Override
  public KeyRotationStrategy keyRotationStrategy() {
    return KeyRotationStrategy.INLINE;
  }
}
