import com.godaddy.asherah.appencryption.Session;
import com.godaddy.asherah.appencryption.SessionFactory;
import com.godaddy.asherah.appencryption.kms.AwsKeyManagementServiceImpl;
import com.godaddy.asherah.appencryption.kms.KeyManagementService;
import com.godaddy.asherah.appencryption.kms.StaticKeyManagementServiceImpl;
import com.godaddy.asherah.appencryption.persistence.DynamoDbMetastoreImpl;
import com.godaddy.asherah.appencryption.persistence.InMemoryMetastoreImpl;
import com.godaddy.asherah.appencryption.persistence.JdbcMetastoreImpl;
import com.godaddy.asherah.appencryption.persistence.Metastore;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.json.JSONObject;

/**
 * The canonical Java library behind JSON lines: a command on standard input, an answer on standard output, in order.
 * {@code tests/support/servers/peer.ts} describes the protocol.
 */
public final class Peer {
  private final Map<String, SessionFactory> factories = new HashMap<>();

  private Peer() {}

  public static void main(String[] args) throws Exception {
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    // Whatever a library prints must not be taken for an answer.
    System.setOut(System.err);
    Peer peer = new Peer();
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    answers.println(new JSONObject().put("id", 0).put("ready", true));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      JSONObject command = new JSONObject(line);
      JSONObject answer = new JSONObject().put("id", command.getInt("id"));
      try {
        peer.carryOut(command, answer);
      } catch (Exception | LinkageError error) {
        answer.put("error", describe(error));
      }
      answers.println(answer);
    }
  }

  private static String describe(Throwable error) {
    StringBuilder text = new StringBuilder(error.toString());
    for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
      text.append(" | ").append(cause);
    }
    return text.toString();
  }

  private void carryOut(JSONObject command, JSONObject answer) {
    String name = command.getString("factory");
    switch (command.getString("op")) {
      case "configure":
        factories.put(name, configure(command.getJSONObject("config")));
        break;
      case "encrypt":
        try (Session<byte[], byte[]> session = session(name, command)) {
          byte[] data = Base64.getDecoder().decode(command.getString("data"));
          answer.put("record", new String(session.encrypt(data), StandardCharsets.UTF_8));
        }
        break;
      case "decrypt":
        try (Session<byte[], byte[]> session = session(name, command)) {
          byte[] record = command.getString("record").getBytes(StandardCharsets.UTF_8);
          answer.put("data", Base64.getEncoder().encodeToString(session.decrypt(record)));
        }
        break;
      case "close":
        factories.remove(name).close();
        break;
      default:
        throw new IllegalArgumentException("no operation " + command.getString("op"));
    }
  }

  private Session<byte[], byte[]> session(String name, JSONObject command) {
    SessionFactory factory = factories.get(name);
    if (factory == null) {
      throw new IllegalStateException("no factory " + name);
    }
    return factory.getSessionBytes(command.getString("partition"));
  }

  private static SessionFactory configure(JSONObject config) {
    return SessionFactory.newBuilder(config.getString("product"), config.getString("service"))
        .withMetastore(metastore(config.getJSONObject("metastore")))
        .withCryptoPolicy(new SecondsPolicy(config.getLong("expireAfter"), config.getLong("checkInterval")))
        .withKeyManagementService(kms(config.getJSONObject("kms")))
        .build();
  }

  private static Metastore<JSONObject> metastore(JSONObject config) {
    switch (config.getString("kind")) {
      case "memory":
        return new InMemoryMetastoreImpl<>();
      case "postgres":
        // A JSONB column takes no text unless the server may find out the parameter's type by itself.
        return JdbcMetastoreImpl.newBuilder(new UrlDataSource("jdbc:postgresql", config, "stringtype=unspecified")).build();
      case "mysql":
        return JdbcMetastoreImpl.newBuilder(new UrlDataSource("jdbc:mariadb", config, "timezone=UTC")).build();
      case "dynamodb":
        DynamoDbMetastoreImpl.Builder builder = DynamoDbMetastoreImpl.newBuilder(config.getString("region"));
        builder.withEndPointConfiguration(config.getString("endpoint"), config.getString("region"));
        builder.withTableName(config.getString("table"));
        if (config.getBoolean("regionSuffix")) {
          builder.withKeySuffix();
        }
        return builder.build();
      default:
        throw new IllegalArgumentException("no metastore " + config.getString("kind"));
    }
  }

  private static KeyManagementService kms(JSONObject config) {
    if (config.getString("kind").equals("static")) {
      return new StaticKeyManagementServiceImpl(config.getString("key"));
    }
    Map<String, String> regions = new LinkedHashMap<>();
    JSONObject map = config.getJSONObject("regionMap");
    for (String region : map.keySet()) {
      regions.put(region, map.getString(region));
    }
    return AwsKeyManagementServiceImpl.newBuilder(regions, config.getString("preferredRegion")).build();
  }
}
